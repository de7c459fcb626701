"""Writes `made_up_study.yaml`: a study that was never made, whose printed numbers all come from one set of drawn data.

Nothing is shared with the study that the kit ships: other muscles, groups, names and units, exact P, odds ratios,
coefficients and AUCs with intervals. The statistics are SciPy's and statsmodels', not the kit's.
Run `python tests/replication/made_up_study.py` to write it anew.
"""

from pathlib import Path

import numpy as np
import statsmodels.api as sm
from scipy import stats

FILE = Path(__file__).with_suffix(".yaml")
N = 120
GRADES = {"frail": (0, 4), "between": (5, 7), "robust": (8, 12)}
MD, FA, RD = "vastus_lateralis.md", "sartorius.fa", "semimembranosus.rd"


def draw():
    """Grade 0 to 12, MD in µm²/ms, FA, and RD in 10⁻⁶ mm²/s, which some lack."""
    rng = np.random.default_rng(20)
    strength, shared, *noise = rng.standard_normal((5, N))
    values = {
        MD: 1.55 - 0.035 * strength + 0.03 * shared + 0.09 * noise[0],
        FA: 0.25 + 0.016 * strength - 0.01 * shared + 0.02 * noise[1],
        RD: 1350 - 20 * strength + 40 * shared + 90 * noise[2],
    }
    values[RD][rng.choice(N, 9, replace=False)] = np.nan
    return np.clip(np.round(6 + 2.5 * strength), 0, 12), values


grade, values = draw()
groups = {name: (grade >= low) & (grade <= high) for name, (low, high) in GRADES.items()}


def of(feature, group):
    found = values[feature][groups[group]]
    return found[~np.isnan(found)]


def p_text(p):
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def interval(low, high, digits):
    return f'{{low: "{low:.{digits}f}", high: "{high:.{digits}f}", level_percent: "95"}}'


def row(feature, group, versus, digits, *, is_se=False):
    found = of(feature, group)
    spread = found.std(ddof=1) / (np.sqrt(found.size) if is_se else 1)
    text = f'      - {{feature: {feature}, group: {group}, mean: "{found.mean():.{digits}f}", sd: "{spread:.{digits}f}"'
    if found.size < groups[group].sum():
        text += f", n: {found.size}"
    if versus:
        p = stats.ttest_ind(found, of(feature, versus), equal_var=False).pvalue
        text += f', versus: {versus}, p: "{p_text(p)}"'
    return text + "}\n"


def rows(feature, digits, *, is_se=False):
    versus = {"frail": "robust", "between": "robust", "robust": None}
    return "".join(row(feature, group, other, digits, is_se=is_se) for group, other in versus.items())


def factors():
    """Logistic regression of frailty on FA (per 0.01) and MD (per 0.1 µm²/ms), everybody else against the frail."""
    design = sm.add_constant(np.column_stack([values[FA] / 0.01, values[MD] / 0.1]))
    fit = sm.Logit(groups["frail"].astype(float), design).fit(disp=False)
    text = ""
    for index, feature, change, per in ((1, FA, "decrease", "0.01"), (2, MD, "increase", "0.1 µm²/ms")):
        low, high = np.exp(fit.conf_int()[index])
        text += (
            f"      - feature: {feature}\n        change: {change}\n"
            f'        odds_ratio: "{np.exp(fit.params[index]):.2f}"\n        interval: {interval(low, high, 2)}\n'
            f'        per: "{per}"\n        p: "{p_text(fit.pvalues[index])}"\n'
        )
    return text


def correlation(feature):
    found = stats.pearsonr(grade, values[feature])
    ends = found.confidence_interval(0.95)
    return f"{found.statistic:.2f}".replace("-", "−"), interval(*ends, 2), p_text(found.pvalue)


def placements(frail, robust):
    """For each of the frail the share of the robust that lie below, and the other way round (DeLong's components)."""
    above = (frail[:, None] > robust) + 0.5 * (frail[:, None] == robust)
    return above.mean(axis=1), above.mean(axis=0)


def scores():
    """MD alone, FA alone (turned, since the frail have less), and both together by logistic regression."""
    chosen = groups["frail"] | groups["robust"]
    design = sm.add_constant(np.column_stack([values[FA][chosen] / 0.01, values[MD][chosen] / 0.1]))
    fit = sm.Logit(groups["frail"][chosen].astype(float), design).fit(disp=False)
    both = design @ fit.params
    is_frail = groups["frail"][chosen]
    return {
        MD: placements(of(MD, "frail"), of(MD, "robust")),
        FA: placements(-of(FA, "frail"), -of(FA, "robust")),
        RD: placements(of(RD, "frail"), of(RD, "robust")),
        "fa+md": placements(both[is_frail], both[~is_frail]),
    }


def auc(name):
    parts = scores()[name]
    value = parts[0].mean()
    se = np.sqrt(sum(part.var(ddof=1) / part.size for part in parts))
    p = 2 * stats.norm.sf((value - 0.5) / np.sqrt(null_variance(*(part.size for part in parts))))
    ends = interval(value - 1.96 * se, value + 1.96 * se, 3)
    return f'    auc: "{value:.3f}"\n    interval: {ends}\n    p: "{p_text(p)}"\n'


def null_variance(n_first, n_second):
    """Variance of the Mann–Whitney statistic, as a share of all pairs, where the groups do not differ."""
    return (n_first + n_second + 1) / (12 * n_first * n_second)


def comparison(higher, lower):
    first, second = scores()[higher], scores()[lower]
    difference = first[0].mean() - second[0].mean()
    se = np.sqrt(sum((a - b).var(ddof=1) / a.size for a, b in zip(first, second, strict=True)))
    return p_text(2 * stats.norm.sf(abs(difference) / se))


def study_text():
    n = {name: int(found.sum()) for name, found in groups.items()}
    r, r_interval, r_p = correlation(MD)
    t_p = stats.ttest_ind(of(MD, "frail"), of(MD, "robust")).pvalue
    n_rd = [of(RD, group).size for group in ("frail", "robust")]
    return f"""\
# yaml-language-server: $schema=../../data/published/schema.json
# Made up: written by made_up_study.py, which drew the data. No patient was ever measured.

id: made_up_study
citation: Nobody et al.
title: Diffusion of the thigh that was never measured
source: full text

design:
  question: Does walking leave a trace?
  kind: prospective
  centre: three towns
  period: one spring
  patients: walkers
  n: {N}
  predictors: MD, RD and FA of three muscles
  analyses: [t tests, logistic regression, Pearson correlation, ROC curves]
  n_tests: 3
  correction: none stated

outcome: {{name: step test, lowest: 0, highest: 12}}

groups:
  - {{id: frail, title: frailty, stands_for: poor, grades: {{lowest: 0, highest: 4}}, n: {n["frail"]}}}
  - {{id: between, title: neither, grades: {{lowest: 5, highest: 7}}, n: {n["between"]}}}
  - {{id: robust, title: robustness, stands_for: good, grades: {{lowest: 8, highest: 12}}, n: {n["robust"]}}}

claims:
  - id: robust_lower
    kind: group_difference
    place: Table 2
    statement: MD of vastus lateralis is lower in the robust than in the frail.
    features: [{MD}]
    group: robust
    versus: frail
    direction: lower
    test: student
    p: "{p_text(t_p)}"

  - id: md_means
    kind: group_means
    place: Table 2
    statement: Means of MD.
    unit: µm²/ms
    test: welch
    means:
{rows(MD, 2)}
  - id: rd_means
    kind: group_means
    place: Table 2
    statement: Means of RD; some lack a value.
    unit: 10⁻⁶ mm²/s
    test: welch
    means:
{rows(RD, 0)}
  - id: fa_means
    kind: group_means
    place: Table 2
    statement: Means of FA with their standard errors.
    unit: "1"
    spread: se
    test: welch
    means:
{rows(FA, 4, is_se=True)}
  - id: factors_of_frailty
    kind: independent_factors
    place: Table 3
    statement: Lower FA and higher MD go with frailty.
    event: frail
    factors:
{factors()}
  - id: correlates
    kind: correlation
    place: Figure 1
    statement: Strength correlates with MD, and negatively.
    features: [{MD}]
    outcome: strength
    change: increase
    sign: negative
    method: pearson
    coefficient: "{r}"
    interval: {r_interval}
    p: "{r_p}"

  - id: auc_of_md
    kind: auc
    place: Figure 2
    statement: MD of vastus lateralis alone.
    predictor: {MD}
{auc(MD)}
  - id: auc_of_fa
    kind: auc
    place: Figure 2
    statement: FA of sartorius alone.
    predictor: {FA}
{auc(FA)}
  - id: auc_of_rd
    kind: auc
    place: Figure 2
    statement: RD of semimembranosus alone, in those who have a value.
    predictor: {RD}
    n_event: {n_rd[0]}
    n_other: {n_rd[1]}
{auc(RD)}
  - id: auc_of_both
    kind: auc
    place: Figure 2
    statement: MD and FA combined, in the participants whom the model was fitted to.
    predictor: fa+md
    features: [{FA}, {MD}]
    validation: apparent
{auc("fa+md")}
  - id: both_beat_md
    kind: auc_comparison
    place: Figure 2
    statement: MD and FA combined tell more than MD alone.
    higher: fa+md
    lower: [{MD}]
    features: [{FA}, {MD}]
    p: "{comparison("fa+md", MD)}"
"""


if __name__ == "__main__":
    FILE.write_text(study_text(), encoding="utf-8")
