"""The same jobs done with what a person would use instead. What that needs is in requirements.txt here alone."""
