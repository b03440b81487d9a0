"""Figures of networks: what is known of one without training it, or measured once. One file a
figure; that of a published table is in `nas.benchmark_table`."""

from nas.figures.counts import Activations, MultiplyAdds, Parameters, counts
from nas.figures.figure import Figure, InSpace, keeps

__all__ = ["Activations", "Figure", "InSpace", "MultiplyAdds", "Parameters", "counts", "keeps"]
