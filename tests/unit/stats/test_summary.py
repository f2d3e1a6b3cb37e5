"""Projections are the same for any pieces of rows, keep distances roughly, and bear gaps."""

import numpy as np
import pytest

from trimtab.stats import summary as module
from trimtab.stats.summary import DIRECTIONS, projections, summary


def test_directions_are_close_to_right_angles() -> None:
    signs = np.array(projections(np.eye(4_096))).T * np.sqrt(4_096)
    assert set(np.abs(signs).ravel().round(9)) == {1.0}
    cosines = signs.T @ signs / 4_096
    assert np.abs(cosines - np.eye(DIRECTIONS)).max() < 0.06


def test_pieces_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(1).normal(0.0, 1.0, (7, 50)).astype(np.float32)
    whole = projections(rows)
    monkeypatch.setattr(module, "AT_ONCE", 100)
    assert np.allclose(projections(rows), whole)


def test_numbers_that_are_not_finite_are_left_out() -> None:
    rows = np.array([[1.0, np.nan, 2.0], [1.0, 0.0, 2.0], [np.inf, np.nan, np.nan]])
    found = projections(rows)
    assert found[:, 0].tolist() == found[:, 1].tolist()
    assert np.isnan(found[:, 2]).all()


def test_a_cloud_that_turned_moves_along_some_direction() -> None:
    rng = np.random.default_rng(2)
    centre = rng.normal(0.0, 1.0, 64)
    before = projections(centre + 0.3 * rng.normal(size=(500, 64)))
    after = projections(centre[::-1] + 0.3 * rng.normal(size=(500, 64)))
    apart = np.abs(before.mean(axis=1) - after.mean(axis=1)) / before.std(axis=1)
    assert apart.max() > 1.0


def test_a_summary_has_mean_deviation_and_projections() -> None:
    found = summary(np.array([[2, 4], [6, 6]], dtype=np.uint8))
    assert [each.tolist() for each in found[:2]] == [[3.0, 6.0], [1.0, 0.0]]
    assert len(found) == 2 + DIRECTIONS
