"""Tables for reading: typed results in, exhibits out, with the unrounded numbers behind every cell.

Cells are printed here with a fixed number of decimals and set flush right in figures of equal width, so that
a column stands aligned on its decimal point.
"""

from dtimuscle.presentation.tables.audit import checks_table, directions_table, findings_list, implied_table
from dtimuscle.presentation.tables.cohort import exclusion_table, left_out_list, odd_scans_list, sides_table
from dtimuscle.presentation.tables.correlation import adjusted_correlation_table, correlation_table
from dtimuscle.presentation.tables.criteria import criteria_table
from dtimuscle.presentation.tables.groups import group_comparison_table, group_effects_table, group_tests_table
from dtimuscle.presentation.tables.influence import conclusions_table, influence_table
from dtimuscle.presentation.tables.logistic import model_fit_table, multivariable_table, univariate_table
from dtimuscle.presentation.tables.missing import complete_cases_table, imputation_table, missing_table
from dtimuscle.presentation.tables.ordinal import ordinal_table, proportional_odds_table
from dtimuscle.presentation.tables.patients import characteristics_table
from dtimuscle.presentation.tables.penalised import penalised_table
from dtimuscle.presentation.tables.power import detectable_table, sample_size_table
from dtimuscle.presentation.tables.printed import claims_table, readings_table
from dtimuscle.presentation.tables.reliability import bland_altman_table, overlap_table, reliability_table
from dtimuscle.presentation.tables.robustness import robustness_table
from dtimuscle.presentation.tables.roc import auc_comparison_table, auc_table, cut_off_table, partial_auc_table
from dtimuscle.presentation.tables.scans import bias_table, muscle_quality_table, quality_table
from dtimuscle.presentation.tables.validation import calibration_table, validation_table
from dtimuscle.presentation.tables.verdict_words import plain_verdicts, verdict_subject
from dtimuscle.presentation.tables.verdicts import verdict_pairs, verdict_table
from dtimuscle.presentation.tables.worlds import worlds_table, worlds_together_table

__all__ = [
    "adjusted_correlation_table",
    "auc_comparison_table",
    "auc_table",
    "bias_table",
    "bland_altman_table",
    "calibration_table",
    "characteristics_table",
    "checks_table",
    "claims_table",
    "complete_cases_table",
    "conclusions_table",
    "correlation_table",
    "criteria_table",
    "cut_off_table",
    "detectable_table",
    "directions_table",
    "exclusion_table",
    "findings_list",
    "group_comparison_table",
    "group_effects_table",
    "group_tests_table",
    "implied_table",
    "imputation_table",
    "influence_table",
    "left_out_list",
    "missing_table",
    "model_fit_table",
    "multivariable_table",
    "muscle_quality_table",
    "odd_scans_list",
    "ordinal_table",
    "overlap_table",
    "partial_auc_table",
    "penalised_table",
    "plain_verdicts",
    "proportional_odds_table",
    "quality_table",
    "readings_table",
    "reliability_table",
    "robustness_table",
    "sample_size_table",
    "sides_table",
    "univariate_table",
    "validation_table",
    "verdict_pairs",
    "verdict_subject",
    "verdict_table",
    "worlds_table",
    "worlds_together_table",
]
