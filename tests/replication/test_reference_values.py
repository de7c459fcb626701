from pathlib import Path
from typing import Any

import pytest
import yaml

from dtimuscle.errors import PublishedError
from dtimuscle.replication.reference_values import ReferenceValues
from dtimuscle.running.studies import read_reference_values
from dtimuscle.simulation.physics import FREE_WATER, eigenvalues

FILE = Path(__file__).parents[2] / "data" / "reference_values.yaml"


@pytest.fixture
def mapping() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


@pytest.fixture
def reference() -> ReferenceValues:
    return read_reference_values()


def test_free_water_is_what_the_fit_of_holz_gives_at_body_temperature(reference: ReferenceValues) -> None:
    # Holz, Heil & Sacco 2000: D0 (T / Ts - 1)^gamma with D0 in m²/s; 2.299e-9 m²/s at 25 °C.
    def self_diffusion(celsius: float) -> float:
        return 1.635e-8 * ((celsius + 273.15) / 215.05 - 1) ** 2.063

    assert self_diffusion(25) == pytest.approx(2.299e-9, rel=1e-3)
    assert reference.free_water.highest == pytest.approx(self_diffusion(37) * 1e6, rel=2e-3)


def test_the_simulator_takes_the_same_free_water(reference: ReferenceValues) -> None:
    assert pytest.approx(reference.free_water.highest, rel=0.02) == FREE_WATER


def test_every_parameter_has_a_range_and_a_spread(reference: ReferenceValues) -> None:
    assert set(reference.muscle_means) == set(reference.between_subject_cv) == {"fa", "md", "ad", "rd"}


def test_fa_and_md_rest_on_published_studies_only(reference: ReferenceValues) -> None:
    for parameter in ("fa", "md"):
        for known in (reference.muscle_means[parameter], reference.between_subject_cv[parameter]):
            assert len(known.sources) >= 2
            assert not any(study.assumed for study in known.studies)


def test_a_range_is_that_of_its_studies_and_the_allowance_widens_it(reference: ReferenceValues) -> None:
    md = reference.muscle_means["md"]
    assert (md.published_low, md.published_high) == (0.76e-3, 1.89e-3)
    assert (md.low, md.high) == pytest.approx((0.76e-3 / 1.25, 1.89e-3 * 1.25))


def test_a_spread_is_the_sd_over_the_mean(reference: ReferenceValues) -> None:
    fa = reference.between_subject_cv["fa"]
    assert (fa.published_low, fa.published_high) == pytest.approx((0.02 / 0.23, 0.05 / 0.27))
    assert fa.published_median == pytest.approx((0.04 / 0.30 + 0.03 / 0.22) / 2)
    assert fa.highest == pytest.approx(2 * 0.05 / 0.27)


def test_ranges_of_ad_and_rd_follow_from_those_of_md_and_fa(reference: ReferenceValues) -> None:
    md, fa, ad, rd = (reference.muscle_means[name] for name in ("md", "fa", "ad", "rd"))
    assert ad.published_low == pytest.approx(eigenvalues(fa.published_low, md.published_low)[0], rel=0.01)
    assert ad.published_high == pytest.approx(eigenvalues(fa.published_high, md.published_high)[0], rel=0.01)
    assert rd.published_low == pytest.approx(eigenvalues(fa.published_high, md.published_low)[1], rel=0.01)
    assert rd.published_high == pytest.approx(eigenvalues(fa.published_low, md.published_high)[1], rel=0.01)


def test_no_range_of_a_mean_diffusivity_reaches_free_water(reference: ReferenceValues) -> None:
    assert reference.muscle_means["md"].high < reference.free_water.highest


def test_a_number_without_source_and_reason_is_refused(mapping: dict[str, Any]) -> None:
    mapping["free_water"] = {"highest": 3.04e-3, "assumed": True}
    with pytest.raises(PublishedError, match=r"mine\.yaml: free_water"):
        ReferenceValues.from_mapping(mapping, source="mine.yaml")


def test_a_published_number_cannot_be_assumed_as_well(mapping: dict[str, Any]) -> None:
    mapping["events_per_variable"] |= {"assumed": True}
    with pytest.raises(PublishedError, match="events_per_variable"):
        ReferenceValues.from_mapping(mapping, source="mine.yaml")


def test_a_range_upside_down_is_refused(mapping: dict[str, Any]) -> None:
    mapping["muscle_means"]["fa"]["studies"][0] |= {"lowest": 0.5}
    with pytest.raises(PublishedError, match=r"muscle_means\.fa\.studies"):
        ReferenceValues.from_mapping(mapping, source="mine.yaml")


def test_an_unknown_field_is_refused_with_the_nearest_known_one(mapping: dict[str, Any]) -> None:
    mapping["free_watter"] = mapping.pop("free_water")
    with pytest.raises(PublishedError, match="free_water"):
        ReferenceValues.from_mapping(mapping, source="mine.yaml")
