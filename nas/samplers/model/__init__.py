"""The default sampler's model of scores: covariance, Gaussian process, acquisition."""
