"""Figures for reading: typed results in, exhibits out, with the numbers behind every mark.

Most figures are narrow and tall, so that a phone shows them without scrolling. Points are spread by a fixed
sequence instead of random jitter: the same data give the same drawing.
"""

from dtimuscle.presentation.figures.bias import bias_figure
from dtimuscle.presentation.figures.correlation import correlation_figure
from dtimuscle.presentation.figures.groups import group_figure
from dtimuscle.presentation.figures.images import (
    axial_slice,
    before_after_figure,
    displacement_figure,
    tensor_maps_figure,
)
from dtimuscle.presentation.figures.logistic import odds_ratio_figure
from dtimuscle.presentation.figures.roc import roc_figure
from dtimuscle.presentation.figures.verdicts import published_and_found_figure

__all__ = [
    "axial_slice",
    "before_after_figure",
    "bias_figure",
    "correlation_figure",
    "displacement_figure",
    "group_figure",
    "odds_ratio_figure",
    "published_and_found_figure",
    "roc_figure",
    "tensor_maps_figure",
]
