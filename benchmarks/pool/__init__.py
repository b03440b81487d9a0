"""The pool: its overhead, trainings that share a GPU, stopping early."""
