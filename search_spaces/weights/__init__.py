"""Weights for networks: those of public files, and those of a larger network whose part one is."""

from search_spaces.weights.loading import classes_in, load_weights, suited_arch

__all__ = ["classes_in", "load_weights", "suited_arch"]
