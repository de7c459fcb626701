import numpy as np

from dtimuscle.statistics.multiplicity import benjamini_hochberg, holm


def test_holm_gives_the_textbook_values_and_skips_missing_ones():
    found = holm(np.array([0.01, np.nan, 0.04, 0.03]))
    np.testing.assert_allclose(found, [0.03, np.nan, 0.06, 0.06])


def test_benjamini_and_hochberg_step_up_and_skip_missing_ones():
    found = benjamini_hochberg(np.array([0.01, np.nan, 0.04, 0.03]))
    np.testing.assert_allclose(found, [0.03, np.nan, 0.04, 0.04])


def test_no_adjusted_p_exceeds_one_or_falls_below_its_raw_p():
    p = np.random.default_rng(1).uniform(size=50)
    for adjusted in (holm(p), benjamini_hochberg(p)):
        assert (adjusted >= p).all()
        assert adjusted.max() <= 1


def test_holm_is_never_more_lenient_than_benjamini_and_hochberg():
    p = np.random.default_rng(2).uniform(0, 0.1, size=28)
    assert (holm(p) >= benjamini_hochberg(p)).all()


def test_nothing_to_adjust_stays_nothing():
    for adjust in (holm, benjamini_hochberg):
        assert np.isnan(adjust(np.array([np.nan]))).all()
        assert adjust(np.array([])).size == 0
