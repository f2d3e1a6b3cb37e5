"""Rows of the request log whose columns are made when somebody asks for them.

A family that is not counted by the fast way takes what it needs, and only that is decoded.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.records import Rows

Maker = Callable[[], NDArray[Any]]


class Lazy(Mapping[str, NDArray[Any]]):
    """Columns by name, each made once."""

    def __init__(self, makers: Mapping[str, Maker]) -> None:
        self._makers = makers
        self._made: dict[str, NDArray[Any]] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


class LazyRows(Rows):
    """Rows of lazy columns; rows taken from them are lazy too."""

    __slots__ = ()

    def take(self, index: NDArray[Any]) -> Rows:
        """The rows at `index` (positions or a boolean mask)."""
        return LazyRows(
            _taken(self.fixed, index), _taken(self.inputs, index), _taken(self.outputs, index)
        )


def _taken(columns: Mapping[str, NDArray[Any]], index: NDArray[Any]) -> Lazy:
    return Lazy({name: partial(_at, columns, name, index) for name in columns})


def _at(columns: Mapping[str, NDArray[Any]], name: str, index: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(columns[name][index])
