"""The honest study on the user's own cohort: several training methods, the same cases, the same judges."""

from HQCSegmentLib.comparison.design import Design, design
from HQCSegmentLib.comparison.results import Comparison, Result
from HQCSegmentLib.comparison.run import compare

__all__ = ["Comparison", "Design", "Result", "compare", "design"]
