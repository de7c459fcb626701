"""Tables for reading: typed results in, exhibits out, with the unrounded numbers behind every cell.

Cells are printed here with a fixed number of decimals and set flush right in figures of equal width, so that
a column stands aligned on its decimal point.
"""

from dtimuscle.presentation.tables.correlation import correlation_table
from dtimuscle.presentation.tables.groups import group_comparison_table
from dtimuscle.presentation.tables.logistic import multivariable_table, univariate_table
from dtimuscle.presentation.tables.patients import characteristics_table
from dtimuscle.presentation.tables.roc import auc_comparison_table, auc_table
from dtimuscle.presentation.tables.scans import bias_table, quality_table
from dtimuscle.presentation.tables.verdicts import verdict_pairs, verdict_subject, verdict_table

__all__ = [
    "auc_comparison_table",
    "auc_table",
    "bias_table",
    "characteristics_table",
    "correlation_table",
    "group_comparison_table",
    "multivariable_table",
    "quality_table",
    "univariate_table",
    "verdict_pairs",
    "verdict_subject",
    "verdict_table",
]
