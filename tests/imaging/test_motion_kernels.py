from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from dtimuscle.imaging import motion_kernels as kernels
from dtimuscle.imaging.splines import Spline


def points_within(shape, n=200):
    return np.random.default_rng(1).uniform(0, np.array(shape) - 1, (n, 3))


@pytest.mark.parametrize("shape", [(12, 9, 7), (5, 4, 1), (1, 6, 3), (2, 2, 2)])
def test_a_spline_takes_the_values_of_scipys(shape):
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    points = points_within(shape)
    values, is_scanned = Spline.through(image).at(points, np.eye(4))
    expected = ndimage.map_coordinates(image.astype(float), points.T, order=3, mode="mirror")
    np.testing.assert_allclose(values, expected, atol=2e-4)
    assert is_scanned.all()


def test_a_spline_takes_images_of_any_layout_and_precision():
    image = np.random.default_rng(0).normal(size=(8, 7, 12))
    points = points_within((8, 7, 6))
    expected, _ = Spline.through(np.ascontiguousarray(image[..., ::2], dtype=np.float32)).at(points, np.eye(4))
    values, _ = Spline.through(image[..., ::2]).at(points, np.eye(4))
    np.testing.assert_allclose(values, expected, atol=1e-5)


def test_beyond_the_image_the_nearest_voxel_counts_and_nothing_was_scanned():
    image = np.random.default_rng(0).normal(size=(6, 6, 6)).astype(np.float32)
    values, is_scanned = Spline.through(image).at(np.array([[-3.0, 2, 2], [2, 2, 5.4]]), np.eye(4))
    np.testing.assert_allclose(values, [image[0, 2, 2], image[2, 2, 5]], atol=1e-4)
    np.testing.assert_array_equal(is_scanned, [False, True])


def cells_of(sizes, seed=0):
    rng = np.random.default_rng(seed)
    m = sum(sizes)
    bounds = np.cumsum([0, *sizes])
    points, slopes = rng.normal(0, 50, (m, 3)), rng.normal(size=(3, m)).astype(np.float32)
    values = rng.normal(size=m)
    centred = np.concatenate([part - part.mean() for part in np.split(values, bounds[1:-1])]).astype(np.float32)
    power = np.add.reduceat(centred.astype(float) ** 2, bounds[:-1]) + 1e-6
    return points, slopes, centred, power, bounds


def changes_by_definition(points, slopes, phase_axis):
    stretch = slopes[:, [phase_axis]] * points
    return np.hstack([np.cross(points, slopes), slopes, stretch]).astype(float)


@pytest.mark.parametrize("sizes", [(1,), (4, 9, 1, 25), (3, 2), (25,) * 50])
def test_sums_over_cells_are_those_of_the_definition(sizes):
    points, slopes, values, power, bounds = cells_of(sizes)
    change = kernels.changes(points, slopes, 1, values, power, bounds)
    rng = np.random.default_rng(5)
    sampled = rng.normal(size=len(points)).astype(np.float32)
    gain, weight = rng.uniform(0.5, 1, (2, len(sizes))).astype(np.float32)
    is_scanned, is_known = np.ones(len(points), dtype=bool), np.ones(len(sizes), dtype=bool)
    is_scanned[bounds[-2]] = is_known[0] = False
    is_seen, there, follows = kernels.compare(sampled, is_scanned, is_known, values, bounds)
    information, pull, squares = kernels.normal_equations(sampled, change, gain, weight, bounds)
    np.testing.assert_array_equal(is_seen, (np.arange(len(sizes)) > 0) & (np.arange(len(sizes)) < len(sizes) - 1))
    whole, pulls, products = changes_by_definition(points, slopes.T, 1), [], []
    for cell, (first, end) in enumerate(pairwise(bounds)):
        block, target = whole[first:end] - whole[first:end].mean(axis=0), values[first:end].astype(float)
        block -= np.outer(target, target @ block / power[cell])
        image = sampled[first:end] - sampled[first:end].mean()
        np.testing.assert_allclose(change[:, first:end], block.T, rtol=1e-3, atol=0.01)
        np.testing.assert_allclose(there[cell], image @ image * is_seen[cell], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(follows[cell], image @ target * is_seen[cell], rtol=1e-3, atol=1e-4)
        pulls.append(weight[cell] * gain[cell] * image @ block)
        products.append(weight[cell] * gain[cell] ** 2 * block.T @ block)
    np.testing.assert_allclose(pull, np.sum(pulls, axis=0), rtol=1e-3, atol=0.01)
    np.testing.assert_allclose(squares, np.sum(np.square(pulls), axis=0), rtol=1e-3, atol=0.01)
    np.testing.assert_allclose(information, np.sum(products, axis=0), rtol=1e-3, atol=0.1)
