"""Compiled loops of the CPU, each beside the operation of torch that it replaces."""
