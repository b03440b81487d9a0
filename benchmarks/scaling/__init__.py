"""The coefficients: how well planted ones are found, and the tables of a finished run."""
