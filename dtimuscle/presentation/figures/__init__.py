"""Figures for reading: typed results in, exhibits out, with the numbers behind every mark.

Most figures are narrow and tall, so that a phone shows them without scrolling. Points are spread by a fixed
sequence instead of random jitter: the same data give the same drawing.
"""

from dtimuscle.presentation.figures.audit import implied_auc_figure, turning_figure
from dtimuscle.presentation.figures.bias import bias_figure
from dtimuscle.presentation.figures.cohort import muscle_strips_figure, quality_strips_figure
from dtimuscle.presentation.figures.correlation import correlation_figure, correlation_heatmap_figure
from dtimuscle.presentation.figures.groups import group_figure, hedges_g_figure
from dtimuscle.presentation.figures.images import (
    axial_slice,
    before_after_figure,
    displacement_figure,
    slice_figure,
    tensor_maps_figure,
)
from dtimuscle.presentation.figures.influence import influence_figure
from dtimuscle.presentation.figures.logistic import odds_ratio_figure
from dtimuscle.presentation.figures.missing import missing_pattern_figure
from dtimuscle.presentation.figures.ordinal import ordinal_figure
from dtimuscle.presentation.figures.penalised import penalised_figure, penalty_figure
from dtimuscle.presentation.figures.power import Mark, power_figure
from dtimuscle.presentation.figures.reliability import bland_altman_figure
from dtimuscle.presentation.figures.roc import feature_roc_figure, roc_figure
from dtimuscle.presentation.figures.validation import calibration_figure, decision_curve_figure, validation_figure
from dtimuscle.presentation.figures.verdicts import family_figures
from dtimuscle.presentation.figures.worlds import worlds_auc_figure

__all__ = [
    "Mark",
    "axial_slice",
    "before_after_figure",
    "bias_figure",
    "bland_altman_figure",
    "calibration_figure",
    "correlation_figure",
    "correlation_heatmap_figure",
    "decision_curve_figure",
    "displacement_figure",
    "family_figures",
    "feature_roc_figure",
    "group_figure",
    "hedges_g_figure",
    "implied_auc_figure",
    "influence_figure",
    "missing_pattern_figure",
    "muscle_strips_figure",
    "odds_ratio_figure",
    "ordinal_figure",
    "penalised_figure",
    "penalty_figure",
    "power_figure",
    "quality_strips_figure",
    "roc_figure",
    "slice_figure",
    "tensor_maps_figure",
    "turning_figure",
    "validation_figure",
    "worlds_auc_figure",
]
