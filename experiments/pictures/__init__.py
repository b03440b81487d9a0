"""Pictures, each drawn from values that a table holds."""
