"""One of a kind is none of many, and many are not all named."""

import pytest

from trimtab.domain.plurals import many, some


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 minutes"), (1, "1 minute"), (2, "2 minutes")],
)
def test_a_noun_follows_its_number(count: int, words: str) -> None:
    assert many(count, "minute") == words


@pytest.mark.parametrize(
    ("names", "words"),
    [([], ""), (["a"], "'a'"), (["a", "b"], "'a', 'b'"), ("abcd", "'a', 'b' and 2 more")],
)
def test_of_many_names_the_first_are_told(names: list[str], words: str) -> None:
    assert some(names, 2) == words
