"""Where each key is held: almost every key names one prediction, and that costs one entry."""

from bisect import insort
from collections.abc import Sequence

Key = str | tuple[str, int | str]
"""A request id for its first row, (request id, row) for others, ("", text) for a business key; ""
names nothing. Most keys are therefore texts that are there anyway."""


def key_of_row(request: str, row: int) -> Key:
    """The key of a request's row."""
    return (request, row) if row else request


def key_of_business(text: str) -> Key:
    """The key of a business key."""
    return ("", text)


class KeyIndex:
    """Places by key. Keys of a whole segment are added and removed together."""

    def __init__(self) -> None:
        self._first: dict[Key, int] = {}
        self._others: dict[Key, list[int]] = {}

    def places(self, key: Key) -> list[int]:
        """All places of a key, ascending."""
        first = self._first.get(key)
        return [] if first is None else [first, *self._others.get(key, ())]

    def add(self, keys: Sequence[Key], first: int) -> None:
        """Let `keys` name the places from `first` on, one each."""
        fresh = dict(zip(keys, range(first, first + len(keys)), strict=True))
        if len(fresh) == len(keys) and "" not in fresh and self._first.keys().isdisjoint(fresh):
            self._first.update(fresh)
            return
        for place, key in enumerate(keys, first):
            if key:
                self._add(key, place)

    def remove(self, keys: Sequence[Key], first: int) -> None:
        """Forget what `add` was told with the same arguments."""
        for place, key in enumerate(keys, first):
            if key:
                self._remove(key, place)

    def _add(self, key: Key, place: int) -> None:
        held = self._first.setdefault(key, place)
        if held != place:
            self._first[key] = min(held, place)
            insort(self._others.setdefault(key, []), max(held, place))

    def _remove(self, key: Key, place: int) -> None:
        others = self._others.get(key)
        if others is None:
            self._first.pop(key, None)
            return
        if self._first[key] == place:
            self._first[key] = others.pop(0)
        else:
            others.remove(place)
        if not others:
            del self._others[key]
