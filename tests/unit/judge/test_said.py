"""Verdicts that are put into words when somebody reads them."""

import pytest

from trimtab.domain.verdicts import Verdict
from trimtab.judge.said import Unsaid, Verdicts


def verdict(signal: str, word: str = "ok") -> Verdict:
    """A verdict in words."""
    return Verdict(
        signal=signal,
        tier="note",
        verdict=word,  # type: ignore[arg-type]
        reason="",
        release="r",
    )


def silent(signal: str) -> Unsaid:
    """A verdict that nobody may ask for its words."""

    def words() -> Verdict:
        raise AssertionError(signal)

    return Unsaid(signal, False, 1.5, 3.0, words)


def told(signal: str, word: str = "ok") -> Unsaid:
    """A verdict that is put into words when it is read."""
    return Unsaid(signal, word == "bad", 0.0, 0.0, lambda: verdict(signal, word))


def test_how_signals_go_is_known_without_putting_verdicts_into_words() -> None:
    every = Verdicts([silent("a"), verdict("b", "bad"), told("c", "bad"), silent("d")])
    assert len(every) == 4
    assert [each.evidence_log10 for each in every.entries] == [1.5, 0.0, 0.0, 1.5]
    assert [each.signal for each in every.bad] == ["b", "c"]
    assert list(every.where(lambda signal: signal > "b")[:1]) == [verdict("c", "bad")]


def test_verdicts_are_read_as_a_sequence_of_them() -> None:
    every = Verdicts([told("a"), verdict("b")])
    assert list(every) == [verdict("a"), verdict("b")]
    assert every[0] == verdict("a")
    assert every == (verdict("a"), verdict("b"))
    assert every != [verdict("a")]
    assert every != 3
    assert Verdicts(every).entries == every.entries
    with pytest.raises(TypeError, match="unhashable"):
        hash(every)


def test_words_are_made_once() -> None:
    made: list[str] = []

    def words() -> Verdict:
        made.append("a")
        return verdict("a")

    every = Verdicts([Unsaid("a", False, 0.0, 0.0, words)])
    assert every[0] is every[0]
    assert made == ["a"]
