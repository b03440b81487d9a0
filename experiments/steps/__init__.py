"""The steps of a run; none imports another but the pipeline."""
