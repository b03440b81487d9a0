"""What a step is about to train, told before it trains anything: networks, spaces, requests and their forecast."""
