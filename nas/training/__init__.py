"""The training of a network: recipe, optimisers, loop, checkpoints, and the evaluator of a search."""
