"""The default sampler's model of scores: kernel, Gaussian process, acquisition."""
