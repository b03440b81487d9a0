"""The space that tests of samplers search: whole numbers with and without steps, and words."""

from optuna.distributions import CategoricalDistribution, IntDistribution

SPACE = {
    "s1.kernel": IntDistribution(3, 5, step=2),
    "s1.expand": CategoricalDistribution((1, 4, 6)),
    "s2.kernel": IntDistribution(3, 5, step=2),
    "s2.expand": CategoricalDistribution((1, 4, 6)),
    "op": CategoricalDistribution(("conv", "mbconv", "pool")),
    "layers": IntDistribution(1, 4),
}
