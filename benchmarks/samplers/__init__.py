"""Samplers against each other: on a published table, on planted spaces, on real trainings."""
