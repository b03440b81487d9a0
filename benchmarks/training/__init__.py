"""Trainings: which recipe, how fast, in how much memory, from which weights."""
