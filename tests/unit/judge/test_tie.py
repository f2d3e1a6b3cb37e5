"""Labels that do not belong to their rows any more, and a world that answers otherwise."""

import numpy as np
import pytest

from trimtab.judge.tie import Tie

CHANCE = np.linspace(0.0, 0.4, 9)


def labelled(positive: np.ndarray, n: int = 2_000) -> Tie:
    """The same number of rows in each cell, of which these shares are positive."""
    rows = np.full(CHANCE.size, float(n))
    return Tie.of(CHANCE, rows, positive * rows)


def test_labels_that_come_true_as_expected_keep_all_that_chances_tell() -> None:
    tie = labelled(CHANCE)
    assert tie.kept == pytest.approx(1.0)
    assert not tie.loose
    assert not tie.dealt


@pytest.mark.parametrize("share", [0.7, 1.0])
def test_labels_of_other_rows_are_as_often_positive_and_know_nothing(share: float) -> None:
    tie = labelled((1.0 - share) * CHANCE + share * CHANCE.mean())
    assert tie.kept == pytest.approx(1.0 - share)
    assert tie.dealt
    told = f"scores tell {1.0 - share:.0%} of what they told of the labels, 20.0% of which are"
    assert str(tie).startswith(told)


def test_fewer_than_half_of_them_are_not_told_from_a_world_that_changed() -> None:
    assert not labelled(0.6 * CHANCE + 0.4 * CHANCE.mean()).loose


def test_answers_that_turn_around_move_the_share_of_positives() -> None:
    turned = CHANCE + 0.35 * (1.0 - 2.0 * CHANCE)
    assert labelled(turned).kept == pytest.approx(0.3)
    assert not labelled(turned).loose


def test_where_half_are_positive_answers_that_turn_around_look_the_same() -> None:
    chance = CHANCE + 0.3
    rows = np.full(chance.size, 2_000.0)
    tie = Tie.of(chance, rows, (0.3 * chance + 0.7 * (1.0 - chance)) * rows)
    assert tie.loose
    assert not tie.dealt


@pytest.mark.parametrize("mean", [0.0, 0.3])
@pytest.mark.parametrize(("share", "opposed"), [(1.0, True), (0.9, True), (0.7, False)])
def test_labels_are_opposed_where_nearly_all_say_the_opposite(
    share: float, opposed: bool, mean: float
) -> None:
    """Also where half are positive."""
    chance = CHANCE + mean
    rows = np.full(chance.size, 2_000.0)
    tie = Tie.of(chance, rows, rows * (chance + share * (1.0 - 2.0 * chance)))
    assert tie.turned / tie.sure == pytest.approx(share)
    assert tie.opposed is opposed
    assert tie.opposite.startswith(f"{share:.0%} of the labels say the opposite of what scores")


def test_a_part_that_turned_around_is_no_larger_than_it_is() -> None:
    """However much of what chances differ by is there."""
    chance, rows = np.array([0.2, 0.05, 0.95]), np.array([8_500.0, 750.0, 750.0])
    tie = Tie.of(chance, rows, rows * np.array([0.2, 0.95, 0.05]))
    assert tie.kept < -0.4
    assert tie.turned / tie.sure == pytest.approx(0.21, abs=0.01)
    assert not tie.opposed


def test_labels_that_are_far_oftener_positive_still_go_with_chances() -> None:
    tie = labelled(0.75 + 0.5 * CHANCE)
    assert tie.turned / tie.sure > 0.9
    assert not tie.opposed


def test_a_few_labels_do_not_show_it() -> None:
    assert not labelled(np.full(CHANCE.size, 0.2), n=5).loose
    assert not labelled(1.0 - CHANCE, n=2).opposed


@pytest.mark.parametrize("positive", [0.0, 1.0])
def test_labels_that_are_all_alike_say_nothing(positive: float) -> None:
    assert not labelled(np.full(CHANCE.size, positive)).loose
    assert not labelled(np.full(CHANCE.size, positive)).opposed


def test_chances_that_are_all_alike_say_nothing() -> None:
    tie = Tie.of(np.array([0.5]), np.array([100.0]), np.array([50.0]))
    assert np.isnan(tie.kept)
    assert not tie.loose
    assert not Tie().loose
    assert not tie.opposed
    assert not Tie().opposed


def test_what_blocks_differ_by_as_wholes_is_left_out() -> None:
    calm, wild = labelled(CHANCE), labelled(CHANCE + 0.3)
    both = calm.merge(wild)
    assert both.n == calm.n + wild.n
    assert both.kept == pytest.approx(1.0)
