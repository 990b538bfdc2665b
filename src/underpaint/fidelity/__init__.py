"""How far a result strayed from its source: in structure and in colour. NumPy alone; what is learned imports torch when called."""

from underpaint.fidelity.comparison import Comparison, compare, compare_images
from underpaint.fidelity.heat_map import heat_map
from underpaint.fidelity.perceptual import dists, lpips

__all__ = ["Comparison", "compare", "compare_images", "dists", "heat_map", "lpips"]
