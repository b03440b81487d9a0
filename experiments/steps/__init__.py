"""The steps of a run; none imports another: `experiments.pipeline` strings them together."""
