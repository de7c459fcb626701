import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dtimuscle.simulation.physics import FREE_WATER, eigenvalues, highest_fa


@given(fa=st.floats(0, 0.999), md=st.floats(1e-4, 3e-3))
def test_eigenvalues_have_the_fa_and_md_they_were_made_from(fa, md):
    along, across = eigenvalues(fa, md)
    values = np.array([along, across, across])
    assert np.isclose(values.mean(), md, rtol=1e-12)
    spread = np.sqrt(1.5 * np.sum((values - values.mean()) ** 2) / np.sum(values**2))
    assert np.isclose(spread, fa, atol=1e-9)
    assert across > 0


@given(md=st.floats(1e-4, 2.99e-3))
def test_the_highest_fa_reaches_free_water_or_a_flat_tensor(md):
    along, across = eigenvalues(highest_fa(md), md)
    assert np.isclose(along, FREE_WATER, rtol=1e-9) or np.isclose(across, 0, atol=1e-12)
    assert along <= FREE_WATER * (1 + 1e-12)


def test_a_linear_tensor_has_fa_one():
    along, across = eigenvalues(1.0, 1e-3)
    np.testing.assert_allclose([along, across], [3e-3, 0], atol=1e-15)
