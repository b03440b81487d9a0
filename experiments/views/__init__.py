"""Commands that look at a run and change nothing of it."""
