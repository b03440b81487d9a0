"""How to grow a network: compound coefficients, their search, and the family they give."""

from scaling_search.coefficients import Coefficients, Shares
from scaling_search.compound import scale_arch
from scaling_search.family import FamilyMember, family
from scaling_search.grid import ScalingPoint, coefficient_grid, scaling_points
from scaling_search.search import CoefficientSearch, PointResult, search_coefficients

__all__ = [
    "CoefficientSearch",
    "Coefficients",
    "FamilyMember",
    "PointResult",
    "ScalingPoint",
    "Shares",
    "coefficient_grid",
    "family",
    "scale_arch",
    "scaling_points",
    "search_coefficients",
]
