"""Work that rests between its pieces."""

import pytest

from trimtab.backends.pace import Pace

PIECE = 0.002


class Work:
    """Seconds of work, and how long was rested in between."""

    def __init__(self, share: float, most: float = float("inf")) -> None:
        self.worked = 0.0
        self.rested: list[float] = []
        self.pace = Pace(share, PIECE, most, lambda: self.worked, self.rested.append)

    def on(self, seconds: float) -> None:
        self.worked += seconds
        self.pace.rest()


def test_a_piece_of_work_is_followed_by_a_rest_that_leaves_the_others_their_share() -> None:
    work = Work(0.25)
    work.on(1.0)
    work.on(0.5)
    assert work.rested == pytest.approx([3.0, 1.5])


def test_small_pieces_are_gathered_until_they_are_worth_a_rest() -> None:
    work = Work(0.5)
    for _ in range(4):
        work.on(0.3 * PIECE)
    assert work.rested == pytest.approx([1.2 * PIECE])


def test_who_may_take_a_whole_processor_never_rests() -> None:
    work = Work(1.0)
    work.on(1.0)
    assert work.rested == []


def test_rests_delay_work_by_no_more_than_was_agreed() -> None:
    work = Work(0.5, most=1.5)
    for _ in range(4):
        work.on(1.0)
    assert work.rested == pytest.approx([1.0, 0.5])


def test_work_that_is_begun_anew_may_rest_as_much_again_and_owes_nothing() -> None:
    work = Work(0.5, most=1.0)
    work.on(2.0)
    work.worked += 5.0
    work.pace.begin()
    work.on(0.5)
    assert work.rested == pytest.approx([1.0, 0.5])
