"""How to grow a network: compound coefficients, their search and analysis, and the family they give."""

from scaling_search.analysis import Analysis
from scaling_search.cautions import cautions
from scaling_search.coefficients import Coefficients, Shares
from scaling_search.compound import scale_arch
from scaling_search.drift import Drift, drift
from scaling_search.family import FamilyMember, family, scaling_lines
from scaling_search.grid import ScalingPoint, coefficient_grid, scaling_points
from scaling_search.search import CoefficientSearch, PointResult, search_coefficients

__all__ = [
    "Analysis",
    "CoefficientSearch",
    "Coefficients",
    "Drift",
    "FamilyMember",
    "PointResult",
    "ScalingPoint",
    "Shares",
    "cautions",
    "coefficient_grid",
    "drift",
    "family",
    "scale_arch",
    "scaling_lines",
    "scaling_points",
    "search_coefficients",
]
