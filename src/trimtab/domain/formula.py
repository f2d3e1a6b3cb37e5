"""Formulas over columns: what a user may say in an expression, and nothing else.

A formula is read by Python's own parser and kept to a list of what is allowed: numbers, texts,
names, arithmetic, comparisons, `and`, `or`, `not`, and the functions of `FUNCTIONS`. It has no
attributes, no subscripts, no loops and no other calls: so it ends, sees its columns alone, and
changes nothing.
"""

import ast
import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from itertools import pairwise
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.records import Floats

Kind = Literal["number", "text", "truth"]
Values = Mapping[str, NDArray[Any]]

LONGEST = 1_000
"""Characters of a formula."""

DEEPEST = 100
"""Expressions within each other."""

LARGEST = 1e300
COLUMN = "column"
"""`column("any name")` is the column of that name, whatever else the name may mean."""


class Unreadable(ValueError):
    """A formula that is none, or that asks for what there is not; the message says where."""


def column_key(name: str) -> str:
    """How `column("name")` is called among the names of a formula: no plain name has a blank."""
    return f"{COLUMN} {name}"


@dataclass(frozen=True, slots=True)
class Function:
    """What is done to values: how, to so many at least and at most, and what their kinds are.

    `takes` says the kind of each argument, the last one of all further ones; without any, all are
    of one kind, and of which is left to them: `ordered` does without texts."""

    make: Callable[..., Any]
    fewest: int = 2
    most: int = 2
    takes: tuple[Kind, ...] = ("number",)
    gives: Kind = "number"
    ordered: bool = False

    def wanted(self, place: int, first: Kind | None) -> Kind | None:
        """What the argument at a place must be, beside a first one of this kind."""
        return self.takes[min(place, len(self.takes) - 1)] if self.takes else first


def _folded(make: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A function of two values for any number of them."""
    return lambda *values: reduce(make, values)


def _compared(make: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda left, right: np.asarray(make(left, right), dtype=np.bool_)


def _numbers(value: Any) -> Any:
    if isinstance(value, str):
        return _number(value)
    return np.array([_number(each) for each in value.tolist()], dtype=np.float64)


def _number(text: str | None) -> float:
    try:
        return math.nan if text is None else float(text)
    except ValueError:
        return math.nan


FUNCTIONS: dict[str, Function] = {
    "abs": Function(np.abs, 1, 1),
    "clip": Function(np.clip, 3, 3),
    "exp": Function(np.exp, 1, 1),
    "log": Function(np.log, 1, 1),
    "max": Function(_folded(np.maximum), 2, 20),
    "min": Function(_folded(np.minimum), 2, 20),
    "number": Function(_numbers, 1, 1, ("text",)),
    "sqrt": Function(np.sqrt, 1, 1),
    "where": Function(np.where, 3, 3, ("truth", "number")),
}
"""What may be called, `column` beside."""

OPERATORS: dict[type[ast.AST], Function] = {
    ast.Add: Function(np.add),
    ast.Sub: Function(np.subtract),
    ast.Mult: Function(np.multiply),
    ast.Div: Function(np.divide),
    ast.Pow: Function(np.power),
    ast.UAdd: Function(np.positive),
    ast.USub: Function(np.negative),
    ast.Not: Function(np.logical_not, takes=("truth",), gives="truth"),
    ast.And: Function(_folded(np.logical_and), takes=("truth",), gives="truth"),
    ast.Or: Function(_folded(np.logical_or), takes=("truth",), gives="truth"),
    ast.Eq: Function(_compared(np.equal), takes=(), gives="truth"),
    ast.NotEq: Function(_compared(np.not_equal), takes=(), gives="truth"),
    ast.Lt: Function(_compared(np.less), takes=(), gives="truth", ordered=True),
    ast.LtE: Function(_compared(np.less_equal), takes=(), gives="truth", ordered=True),
    ast.Gt: Function(_compared(np.greater), takes=(), gives="truth", ordered=True),
    ast.GtE: Function(_compared(np.greater_equal), takes=(), gives="truth", ordered=True),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a formula something is: its first character, counted from 1, and its words."""

    at: int
    part: str

    @classmethod
    def of(cls, text: str, node: ast.expr) -> "Place":
        """Where a node is. The parser counts bytes, people characters."""
        at = len(text.encode()[: node.col_offset].decode()) + 1
        return cls(at, ast.get_source_segment(text, node) or "")

    def refuse(self, problem: str) -> NoReturn:
        """Raises `Unreadable`."""
        raise Unreadable(f"at character {self.at}, {self.part[:40]!r}: {problem}")


@dataclass(frozen=True, slots=True)
class Constant:
    """A number or a text."""

    place: Place = field(compare=False)
    value: float | str

    def kind(self, known: Mapping[str, Kind] | None) -> Kind | None:
        """What it is."""
        return "text" if isinstance(self.value, str) else "number"

    def of(self, values: Values) -> Any:
        """Its value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Named:
    """A column. `key` is its name among the names of a formula."""

    place: Place = field(compare=False)
    key: str
    name: str

    def kind(self, known: Mapping[str, Kind] | None) -> Kind | None:
        """What its values are; None while no columns are known. Raises `Unreadable`."""
        if known is None:
            return None
        if self.key not in known:
            names = [each for each in known if " " not in each]
            near = difflib.get_close_matches(self.name, names, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names[:20])}"
            self.place.refuse(f"there is no column {self.name!r}; {hint}")
        return known[self.key]

    def of(self, values: Values) -> Any:
        """Its values."""
        return values[self.key]


@dataclass(frozen=True, slots=True)
class Applied:
    """A function of other expressions."""

    place: Place = field(compare=False)
    function: Function
    arguments: tuple["Node", ...]

    def kind(self, known: Mapping[str, Kind] | None) -> Kind | None:
        """What it gives. Raises `Unreadable` where an argument is of the wrong kind."""
        made = [each.kind(known) for each in self.arguments]
        first = next((each for each in made if each is not None), None)
        if not self.function.takes:
            self._comparable(first)
        for place, (node, kind) in enumerate(zip(self.arguments, made, strict=True)):
            _expect(node, kind, self.function.wanted(place, first))
        return self.function.gives

    def _comparable(self, kind: Kind | None) -> None:
        if kind == "truth":
            self.place.refuse("what is true or not is joined by and, or, not")
        if kind == "text" and self.function.ordered:
            self.place.refuse("texts are equal or not, and in no order")

    def of(self, values: Values) -> Any:
        """Its values."""
        return self.function.make(*(each.of(values) for each in self.arguments))


Node = Constant | Named | Applied


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that was read. `names` are the columns that it needs: plain names, and
    `column_key` of those named by `column`. What is equal says the same, however it is spaced."""

    root: Node
    names: frozenset[str]

    def check(self, known: Mapping[str, Kind]) -> None:
        """Raises `Unreadable` where a column is not `known`, or of another kind than is needed."""
        _expect(self.root, self.root.kind(known), "number")

    def of(self, values: Values) -> Floats:
        """The value of each row: NaN where it is none, or where a named column has none.

        `values` are equally long columns for all `names`: float64 (missing = NaN) or texts (missing
        = None or empty).
        """
        with np.errstate(all="ignore"):
            made = np.asarray(self.root.of(values), dtype=np.float64)
        lacking = reduce(np.logical_or, (missing(values[name]) for name in sorted(self.names)))
        return np.where(lacking, np.nan, made)


def missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Rows without a value: NaN, None, or an empty text."""
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values), dtype=np.bool_)
    return np.array([not value for value in values.tolist()], dtype=np.bool_)


def _expect(node: Node, made: Kind | None, wanted: Kind | None) -> None:
    if made is None or wanted is None or made == wanted:
        return
    hints = {
        ("text", "number"): "; number(…) reads it as one",
        ("truth", "number"): "; write where(condition, 1, 0)",
        ("number", "text"): '; a text stands in quotes: "1"',
    }
    hint = hints.get((made, wanted), "")
    node.place.refuse(f"this is a {made} where a {wanted} is needed{hint}")


@lru_cache(maxsize=64)
def formula(text: str) -> Formula:
    """Read a formula. Raises `Unreadable` for what is not allowed, and what names no column."""
    if len(text) > LONGEST:
        raise Unreadable(f"it has {len(text):,} characters, and {LONGEST:,} is the most")
    line = text.replace("\n", " ").strip()
    try:
        tree = ast.parse(line, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        at = getattr(error, "offset", None) or 1
        raise Unreadable(f"at character {at}: this cannot be read as an expression") from None
    reader = _Reader(line)
    root = reader.read(tree)
    _expect(root, root.kind(None), "number")
    if not reader.names:
        raise Unreadable("it names no column, so it says nothing of a row")
    return Formula(root, frozenset(reader.names))


class _Reader:
    """Makes nodes of what Python read, as far as it is allowed."""

    def __init__(self, text: str) -> None:
        self.names: set[str] = set()
        self._text = text
        self._depth = 0
        self._readers: dict[type[ast.expr], Callable[[Any, Place], Node]] = {
            ast.Constant: self._constant,
            ast.Name: lambda node, place: self._named(node.id, node.id, place),
            ast.BinOp: lambda node, place: self._made(node.op, (node.left, node.right), place),
            ast.UnaryOp: lambda node, place: self._made(node.op, (node.operand,), place),
            ast.BoolOp: lambda node, place: self._made(node.op, node.values, place),
            ast.Compare: self._comparison,
            ast.Call: self._called,
        }

    def read(self, node: ast.expr) -> Node:
        """The node of an expression. Raises `Unreadable`."""
        place = Place.of(self._text, node)
        reader = self._readers.get(type(node))
        if reader is None:
            place.refuse(
                "this is not allowed in a formula; there are + - * / **, comparisons, "
                f"and, or, not, {', '.join(sorted([*FUNCTIONS, COLUMN]))}"
            )
        self._depth += 1
        if self._depth > DEEPEST:
            place.refuse(f"more than {DEEPEST} expressions are within each other")
        made = reader(node, place)
        self._depth -= 1
        return made

    def _made(self, operator: ast.AST, nodes: Any, place: Place) -> Node:
        function = OPERATORS.get(type(operator))
        if function is None:
            place.refuse("the operator is not allowed in a formula")
        return Applied(place, function, tuple(map(self.read, nodes)))

    def _constant(self, node: ast.Constant, place: Place) -> Node:
        value = node.value
        if isinstance(value, str):
            return Constant(place, value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            place.refuse("only numbers and texts are known; a comparison is true or not")
        if abs(value) > LARGEST:
            place.refuse("the number is too large")
        return Constant(place, float(value))

    def _named(self, key: str, name: str, place: Place) -> Node:
        self.names.add(key)
        return Named(place, key, name)

    def _comparison(self, node: ast.Compare, place: Place) -> Node:
        sides = list(pairwise([node.left, *node.comparators]))
        parts = [self._made(op, pair, place) for op, pair in zip(node.ops, sides, strict=True)]
        return parts[0] if len(parts) == 1 else Applied(place, OPERATORS[ast.And], tuple(parts))

    def _called(self, node: ast.Call, place: Place) -> Node:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if node.keywords:
            place.refuse("arguments are given by their place")
        if name == COLUMN:
            return self._column(node.args, place)
        function = FUNCTIONS.get(name)
        if function is None:
            known = ", ".join(sorted([*FUNCTIONS, COLUMN]))
            place.refuse(f"there is no function {name}; there are {known}")
        if not function.fewest <= len(node.args) <= function.most:
            wanted = f"{function.fewest}" if function.fewest == function.most else "two or more"
            place.refuse(f"{name} takes {wanted}, not {len(node.args)}")
        return Applied(place, function, tuple(map(self.read, node.args)))

    def _column(self, arguments: list[ast.expr], place: Place) -> Node:
        name = arguments[0].value if arguments and isinstance(arguments[0], ast.Constant) else None
        if len(arguments) != 1 or not isinstance(name, str):
            place.refuse('write column("name")')
        return self._named(column_key(name), name, place)
