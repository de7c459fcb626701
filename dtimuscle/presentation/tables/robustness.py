"""The table of what is left of each finding."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation.exhibit import Beside, Exhibit
from dtimuscle.presentation.grid import Column, table_html
from dtimuscle.presentation.style import AGREEMENT_COLOURS, NOTHING, PARAMETERS, feature_title, p_value
from dtimuscle.statistics.features import split_feature
from dtimuscle.statistics.robustness import Robustness

_TESTS = {
    "p": ("Alone", "P"),
    "p_holm": ("Corrected", "P (Holm)"),
    "p_bh": ("Corrected", "P (BH)"),
    "p_adjusted": ("Adjusted", "P, covariates"),
    "p_joint": ("In the model chosen beforehand", "P"),
    "p_firth": ("In the model chosen beforehand", "P (Firth)"),
}
_TURNED = {"adjusted": "p_adjusted", "joint": "p_joint", "firth": "p_firth", "penalised": "selected"}


def robustness_table(
    rows: Sequence[Robustness],
    registry: MuscleRegistry,
    *,
    alpha: float = 0.05,
    published: Mapping[str, str] | None = None,
    name: str = "what_survives",
) -> Exhibit:
    """Say of each feature what is left of it in the stricter analyses.

    Parameters
    ----------
    rows : sequence of Robustness
        One for each feature.
    registry : MuscleRegistry
        Printed names of muscles.
    alpha : float, default=0.05
        P values below this one count.
    published : mapping of str to str, optional
        What the study printed about a feature.
    name : str, default="what_survives"
        Identifier of the exhibit.

    Returns
    -------
    Exhibit
        One row per feature, grouped by parameter.
    """
    published = published or {}
    known = [key for key in _TESTS if any(not math.isnan(getattr(row, key)) for row in rows)]
    cells = [
        {
            "group": PARAMETERS[split_feature(row.feature)[1]].title if split_feature(row.feature)[1] else "Covariates",
            "feature": registry.title(split_feature(row.feature)[0]),
            **{key: _marked(getattr(row, key), row, key, alpha) for key in known},
            "selected": _share(row),
            "holds": "✓ in all" if row.holds(alpha) else ("not in all" if row.p < alpha else NOTHING),
            "published": published.get(row.feature, ""),
        }
        for row in rows
    ]
    columns = [Column("holds", "Shown", align="left")]
    columns += [Column(key, _TESTS[key][1], spanner=_TESTS[key][0]) for key in known]
    columns.append(Column("selected", "Used in", spanner="All features, penalised"))
    if published:
        columns.append(Column("published", "Published", align="left"))
    data = pd.DataFrame(
        [
            {key: getattr(row, key) for key in ("feature", "difference", *_TESTS, "selected")}
            | {"turned": ", ".join(row.turned), "holds": row.holds(alpha), "published": published.get(row.feature, "")}
            for row in rows
        ]
    )
    title = "What survives"
    colours = [AGREEMENT_COLOURS["agrees"] if row.holds(alpha) else AGREEMENT_COLOURS["not testable"] for row in rows]
    html = table_html(
        name,
        pd.DataFrame(cells),
        columns,
        title=title,
        row_label=("feature", "Muscle"),
        group="group",
        colours=("holds", colours),
    )
    beside = tuple(
        Beside(feature_title(row.feature, registry), published[row.feature], cell["holds"])
        for row, cell in zip(rows, cells, strict=True)
        if row.feature in published
    )
    return Exhibit(name, "table", title, _summary(rows, alpha), data, html=html, beside=beside)


def _marked(p: float, row: Robustness, key: str, alpha: float) -> str:
    if math.isnan(p):
        return NOTHING
    turned = " ⇄" if any(_TURNED[what] == key for what in row.turned) else ""
    return f"{p_value(p)}{'*' if p < alpha else ''}{turned}"


def _share(row: Robustness) -> str:
    if math.isnan(row.selected):
        return NOTHING
    return f"{100 * row.selected:.0f}%{' ⇄' if 'penalised' in row.turned else ''}"


def _summary(rows: Sequence[Robustness], alpha: float) -> str:
    alone, holm, bh = (sum(getattr(row, key) < alpha for row in rows) for key in ("p", "p_holm", "p_bh"))
    tested = sum(not math.isnan(row.p) for row in rows)
    in_model = [row for row in rows if not math.isnan(row.p_joint)]
    joint = sum(row.p_joint < alpha for row in in_model)
    turned = sum(bool(row.turned) for row in rows)
    words = [
        f"Of {tested} values tested, {alone} differ{'s' if alone == 1 else ''} between the groups with P < {alpha:g}; "
        f"{tested * alpha:.1f} would by chance alone if nothing differed. After Holm's correction {holm} "
        f"{'is' if holm == 1 else 'are'} left, after Benjamini and Hochberg's {bh}."
    ]
    if in_model:
        words.append(
            f"Of the {len(in_model)} in the model that was chosen beforehand {joint} {'has' if joint == 1 else 'have'} "
            f"P < {alpha:g} beside the others."
        )
    words.append(
        "* marks such a P; ⇄ a direction opposite to that of the value alone"
        f" ({turned} value{'' if turned == 1 else 's'}). “Used in” is the share of cross-validation folds in which the "
        f"penalised model gives the value any weight. “In all”: P < {alpha:g} for the value alone, after Holm, "
        "adjusted, and (only for values in the model chosen beforehand) in it, and no direction turned. Values "
        "outside that model passed fewer tests. It is no proof: a chance finding can pass. All from complete cases."
    )
    return " ".join(words)
