"""The claims of a study in simulated worlds: cohorts drawn without images, and what comes out in them."""

from collections.abc import Sequence

from numpy.random import SeedSequence

from dtimuscle.replication.published import PublishedStudy
from dtimuscle.replication.worlds import WorldAnswer, ask
from dtimuscle.running.studies import read_scenario
from dtimuscle.simulation.cohort import PARAMETERS, draw_features
from dtimuscle.simulation.scenario import Scenario
from dtimuscle.statistics.resampling import Progress, part_of

# The worlds that the kit ships.
SCENARIOS = ("published_means", "published_auc", "null", "degeneration")


def ask_worlds(
    published: PublishedStudy,
    *,
    scenarios: Sequence[str] = SCENARIOS,
    n_cohorts: int = 500,
    n_poor: int = 31,
    n_good: int = 69,
    seed: int = 1,
    progress: Progress | None = None,
) -> tuple[WorldAnswer, ...]:
    """Draw many cohorts of each scenario, and ask which claims come out in them together.

    Cohort k of every scenario comes from the same seed, so that two worlds differ by what is true in them and not by
    chance as well. The answers depend on nothing but the study, the scenarios, the sizes and the seed.

    Parameters
    ----------
    published : PublishedStudy
        The study whose claims are tested.
    scenarios : sequence of str, optional
        Names (`data/scenarios/NAME.yaml`) or paths.
    n_cohorts : int, default=500
        Cohorts of each scenario, at least 1.
    n_poor, n_good : int, default=31 and 69
        Patients in each cohort, where the study has no groups that stand for poor and for good function; otherwise
        the cohorts are as large as its groups.
    seed : int, default=1
        Where every draw comes from.
    progress : callable, optional
        Called with how many cohorts are drawn, over all scenarios, and how many there are.

    Returns
    -------
    tuple of WorldAnswer
        One for each scenario, in their order.

    Raises
    ------
    SimulationError
        If a scenario is unknown or impossible.
    """
    sizes = {group.stands_for: group.n for group in published.groups}
    if {"poor", "good"} <= set(sizes):
        n_poor, n_good = sizes["poor"], sizes["good"]
    seeds = SeedSequence(seed).generate_state(n_cohorts, "uint64").tolist()
    answers = []
    for part, name in enumerate(scenarios):
        scenario = read_scenario(name)
        cohorts = draw_features(
            scenario,
            _features_in_both(published, scenario),
            n_poor=n_poor,
            n_good=n_good,
            seeds=seeds,
            progress=part_of(progress, part=part, n_parts=len(scenarios)),
        )
        answers.append(ask(published, cohorts, name=scenario.name, statement=scenario.statement))
    return tuple(answers)


def _features_in_both(published: PublishedStudy, scenario: Scenario) -> list[str]:
    """List the features that the study's claims are about, as far as the scenario says something about them."""
    claimed = dict.fromkeys(feature for claim in published.claims for feature in published.features_of(claim.id))
    known = {f"{muscle}.{parameter}" for muscle in scenario.muscles for parameter in PARAMETERS}
    return [feature for feature in claimed if feature in known]
