"""Weights of other images that networks of a run begin with: from files, and from a library."""
