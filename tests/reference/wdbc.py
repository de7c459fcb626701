"""Writes wdbc.csv: a public data set as scikit-learn ships it, without missing values.

python tests/reference/wdbc.py tests/reference

Breast Cancer Wisconsin (Diagnostic), UCI Machine Learning Repository, https://doi.org/10.24432/C5DW2B, CC BY 4.0. Five
of its measurements are kept, and every fourth of its 569 cases, so that the groups overlap and the file is small. The
`grade` is the quintile of the largest concave points (0 to 4): something ordinal to correlate with.
"""

import sys
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_breast_cancer

bunch = load_breast_cancer(as_frame=True)
table = bunch.data[["mean texture", "mean smoothness", "mean symmetry", "mean fractal dimension", "worst smoothness"]]
table = table.rename(columns=lambda name: name.replace(" ", "_"))
table.insert(0, "malignant", 1 - bunch.target)
table.insert(1, "grade", pd.qcut(bunch.data["worst concave points"], 5, labels=False))
table.iloc[::4].to_csv(Path(sys.argv[1]) / "wdbc.csv", index=False)
