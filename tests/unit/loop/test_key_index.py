"""The index of keys, against a plain dictionary of lists."""

import random

from hypothesis import given
from hypothesis import strategies as st

from trimtab.loop.key_index import KeyIndex

SEGMENTS = st.lists(
    st.lists(st.sampled_from(["", "a", "b", "c", "d", "e"]), max_size=5), max_size=6
)


@given(SEGMENTS, st.randoms(use_true_random=False))
def test_every_key_is_found_where_it_was_put_until_its_segment_is_removed(
    segments: list[list[str]], chance: random.Random
) -> None:
    index, place = KeyIndex(), 0
    wanted: dict[int, str] = {}
    firsts: list[tuple[int, list[str]]] = []
    for keys in segments:
        index.add(keys, place)
        wanted |= {place + position: key for position, key in enumerate(keys) if key}
        firsts.append((place, keys))
        place += len(keys)
    chance.shuffle(firsts)
    for first, keys in firsts:
        for key in ("a", "b", "c", "d", "e", ""):
            assert index.places(key) == sorted(p for p, k in wanted.items() if k == key)
        index.remove(keys, first)
        for position in range(len(keys)):
            wanted.pop(first + position, None)
    assert all(index.places(key) == [] for key in ("a", "b", "c", "d", "e"))
