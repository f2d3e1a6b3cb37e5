"""A loss of the user's own as a Python function, which only a table can be judged by."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from trimtab import errors
from trimtab.domain.formula import missing
from trimtab.domain.records import Floats
from trimtab.domain.signature import Signature
from trimtab.judge.own_loss import OwnLoss, Row, columns, kinds


@dataclass(frozen=True, slots=True)
class CalledLoss:
    """A function that is given columns by the names of its parameters, as a formula names them, and
    returns what each row loses. It is given rows that lack none of them."""

    function: Callable[..., Any]
    bound: float
    names: tuple[str, ...]

    @classmethod
    def of_function(cls, function: Callable[..., Any], bound: float) -> "CalledLoss":
        """A loss by `function`. Raises `Usage` TT-102 unless its parameters can name columns."""
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            raise _unusable(function, "its parameters are not known") from None
        if not parameters or any(each.kind not in _NAMED for each in parameters):
            raise _unusable(function, "each of its parameters must name a column")
        return cls(function, bound, tuple(each.name for each in parameters))

    @property
    def text(self) -> str:
        """What it is called."""
        return f"{_name(self.function)}({', '.join(self.names)})"

    def unfit(self, signature: Signature) -> str:
        """Why it cannot be calculated of such a table, empty if it can."""
        known = kinds(signature)
        lacking = [name for name in self.names if name not in known]
        if not lacking:
            return ""
        there = ", ".join(name for name in known if " " not in name)
        return f"{self.text} asks for {', '.join(lacking)}, and there are {there}"

    def of(self, signature: Signature, rows: Row) -> Floats:
        """As `judge.own_loss.Losing`. Raises `Usage` TT-102 when the function fails."""
        given = columns(self.names, signature, rows)
        known = ~np.any([missing(values) for values in given.values()], axis=0)
        made = np.full(rows.label.size, np.nan)
        if known.any():
            made[known] = self._called({name: values[known] for name, values in given.items()})
        return made / self.bound

    def _called(self, given: dict[str, Any]) -> Floats:
        try:
            found = np.asarray(self.function(**given), dtype=np.float64)
        except Exception as error:
            raise _unusable(self.function, f"it failed with {error!r}") from error
        size = len(next(iter(given.values())))
        if found.shape != (size,):
            raise _unusable(
                self.function, f"it returned numbers of shape {found.shape} for {size} rows"
            )
        return found


_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def own_loss(given: str | Callable[..., Any], bound: float) -> OwnLoss | CalledLoss:
    """A loss by a formula or a function. Raises `Usage` TT-102 for a function of the wrong form."""
    if isinstance(given, str):
        return OwnLoss(given, bound)
    return CalledLoss.of_function(given, bound)


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _unusable(function: Callable[..., Any], problem: str) -> errors.Usage:
    return errors.Usage(
        errors.BAD_VALUE,
        "monitor",
        f"loss={_name(function)}",
        problem,
        unchanged="nothing was judged",
        hint="def loss(label, prediction): return abs(label - prediction)",
    )
