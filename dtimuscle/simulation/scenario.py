"""A hypothesis about the patients: what each muscle's FA and MD are in either group, and how they hang together."""

from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator
from scipy import stats

from dtimuscle.dwi import Floats
from dtimuscle.simulation.protocol import Positive, Quantity, Record, Sourced, validated

# Self-diffusion of water at 37 °C, mm²/s (Holz et al. 2000, Phys Chem Chem Phys 2:4740): no tissue is faster.
FREE_WATER = 3.0e-3

Correlation = Annotated[float, Field(gt=-1, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Bounds(Sourced):
    """The interval that all patients' values lie in (FA without unit, MD in mm²/s)."""

    low: Positive
    high: Positive


class Spread(Record):
    """Mean and SD over the patients of one group."""

    mean: Positive
    sd: Positive


class Effect(Sourced):
    """One parameter of one muscle in the two groups."""

    poor: Spread
    good: Spread


class MuscleEffects(Record):
    """FA (no unit) and MD (mm²/s) of one muscle."""

    fa: Effect
    md: Effect


class Correlations(Record):
    """Correlations on the normal scale of the copula, within each group.

    Parameters
    ----------
    muscles : Quantity of float
        Between two muscles, same parameter.
    fa_md : Quantity of float
        Between FA and MD of one muscle.
    grade_fa, grade_md : Quantity of float
        Weight of the patient's overall FA and MD in the Lovett grade within the group.
    """

    muscles: Quantity[Annotated[float, Field(ge=0, lt=1)]]
    fa_md: Quantity[Correlation]
    grade_fa: Quantity[Correlation]
    grade_md: Quantity[Correlation]


class Asymmetry(Record):
    """SD over patients of (left − right) / (left + right)."""

    fa: Quantity[Annotated[float, Field(ge=0, le=0.1)]]
    md: Quantity[Annotated[float, Field(ge=0, le=0.1)]]


class GradeShares(Sourced):
    """How often each Lovett grade occurs within its group: 0 to 3 among poor, 4 and 5 among good."""

    poor: tuple[Share, Share, Share, Share]
    good: tuple[Share, Share]

    @model_validator(mode="after")
    def _adds_up(self) -> "GradeShares":
        if not np.allclose([sum(self.poor), sum(self.good)], 1):
            raise ValueError("the shares of a group's grades must add up to 1")
        return self


class Covariate(Sourced):
    """A normally distributed trait, cut off at `low` and `high`."""

    mean: float
    sd: Positive
    low: float
    high: float


class Covariates(Record):
    """Traits that do not differ between the groups."""

    age: Covariate
    bmi: Covariate
    t_score: Covariate
    disease_duration: Covariate
    female_share: Quantity[Share]


class Scenario(Record):
    """All that the cohort is drawn from.

    Parameters
    ----------
    name, title : str
        File name without ending, and the name that pages print.
    description : str
        The hypothesis in a sentence or two.
    fa_bounds, md_bounds : Bounds
        Intervals of the bounded marginals.
    correlations, asymmetry, grades, covariates : Record
        How values hang together, differ between sides, and what else is drawn.
    muscles : dict of str to MuscleEffects
        Each muscle of the phantom by its canonical name.
    """

    name: str
    title: str
    description: str
    fa_bounds: Bounds
    md_bounds: Bounds
    correlations: Correlations
    asymmetry: Asymmetry
    grades: GradeShares
    covariates: Covariates
    muscles: dict[str, MuscleEffects]

    @model_validator(mode="after")
    def _is_physical(self) -> "Scenario":
        if self.fa_bounds.high >= 1 or self.md_bounds.high * 1.1 >= FREE_WATER:
            raise ValueError("fa_bounds must end below 1, and md_bounds 10 % below free water (3.0e-3 mm²/s)")
        for name, muscle in self.muscles.items():
            for parameter, bounds in (("fa", self.fa_bounds), ("md", self.md_bounds)):
                for group in ("poor", "good"):
                    spread: Spread = getattr(getattr(muscle, parameter), group)
                    room = (spread.mean - bounds.low) * (bounds.high - spread.mean)
                    if spread.mean <= bounds.low or room <= spread.sd**2:
                        raise ValueError(
                            f"{parameter} of {name} ({group}): {spread.mean:g} ± {spread.sd:g} "
                            f"does not fit between {bounds.low:g} and {bounds.high:g}"
                        )
        return self

    @classmethod
    def from_mapping(cls, mapping: dict[str, Any], *, source: str) -> "Scenario":
        """Check a scenario as read from YAML.

        Parameters
        ----------
        mapping : dict
            The fields of this class.
        source : str
            Where it came from, for messages.

        Returns
        -------
        Scenario
            The checked scenario.

        Raises
        ------
        SimulationError
            If a field is missing, unknown, of the wrong type or out of range.
        """
        return validated(cls, mapping, source=source)

    def marginal(self, muscle: str, parameter: str, *, is_poor: bool) -> Any:
        """Distribution of one parameter of one muscle in one group.

        Parameters
        ----------
        muscle : str
            Canonical name.
        parameter : str
            `fa` or `md`.
        is_poor : bool
            Which group.

        Returns
        -------
        rv_frozen
            A beta distribution on the parameter's bounds with exactly the group's mean and SD.
        """
        bounds: Bounds = getattr(self, f"{parameter}_bounds")
        effect: Effect = getattr(self.muscles[muscle], parameter)
        spread = effect.poor if is_poor else effect.good
        width = bounds.high - bounds.low
        mean, variance = (spread.mean - bounds.low) / width, (spread.sd / width) ** 2
        size = mean * (1 - mean) / variance - 1
        return stats.beta(mean * size, (1 - mean) * size, loc=bounds.low, scale=width)


def largest_fa(md: Floats) -> Floats:
    """FA at which the first eigenvalue of a cigar-shaped tensor reaches free water.

    Parameters
    ----------
    md : ndarray
        Mean diffusivity, mm²/s.

    Returns
    -------
    ndarray
        Largest possible FA, same shape.
    """
    excess = (FREE_WATER / md - 1) / 2
    return np.where(excess >= 1, 1.0, np.sqrt(3) * excess / np.sqrt(1 + 2 * excess**2))
