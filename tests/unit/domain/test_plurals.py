"""One of a kind is none of many."""

import pytest

from trimtab.domain.plurals import many


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 minutes"), (1, "1 minute"), (2, "2 minutes")],
)
def test_a_noun_follows_its_number(count: int, words: str) -> None:
    assert many(count, "minute") == words
