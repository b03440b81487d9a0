"""Figures of a network: how long counting takes, how well latencies are predicted."""
