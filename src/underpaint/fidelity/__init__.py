"""How far a result strayed from its source: in structure and in colour. NumPy alone, no torch."""

from underpaint.fidelity.comparison import Comparison, compare, compare_images
from underpaint.fidelity.heat_map import heat_map

__all__ = ["Comparison", "compare", "compare_images", "heat_map"]
