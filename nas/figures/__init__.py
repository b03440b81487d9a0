"""Figures of a network that need no training."""
