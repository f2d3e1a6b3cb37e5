"""Rows of the request log and labels, as columns: what gateways write and monitors read."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from sys import intern
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Texts = NDArray[np.object_]


def kept(values: NDArray[Any], rows: NDArray[np.bool_]) -> NDArray[Any]:
    """The values where a mask is true: where it is everywhere, the array itself and no copy."""
    return values if rows.all() else values[np.flatnonzero(rows)]


class Outcome(StrEnum):
    """How one attempt at a release ended.

    `ok` answered; `failed` the release failed it (exception, crash, invalid output, deadline
    missed in the worker); `rejected` the caller's fault (4xx), never counts against a release;
    `shed` refused for lack of room before it reached a worker.
    """

    OK = "ok"
    FAILED = "failed"
    REJECTED = "rejected"
    SHED = "shed"


BATCH = "batch"
"""The lane of work that nobody waits for."""

FIXED_COLUMNS: tuple[tuple[str, str], ...] = (
    ("request_id", "string"),
    ("row", "int32"),
    ("event_time", "float64"),
    ("received_at", "float64"),
    ("release", "string"),
    ("mode", "string"),
    ("lane", "string"),
    ("rollout", "string"),
    ("weight", "int32"),
    ("unit", "uint64"),
    ("attempt", "int32"),
    ("final", "bool"),
    ("outcome", "string"),
    ("error", "string"),
    ("worker", "string"),
    ("queue_seconds", "float64"),
    ("model_seconds", "float64"),
    ("total_seconds", "float64"),
    ("trace_id", "string"),
)
"""Columns of every request-log segment, with Arrow type names. Input columns follow as `in.NAME`,
output columns as `out.NAME` (first value of a vector output is kept as a list).

`request_id` with `row` names one prediction. A request that failed on the canary and was answered
by stable is two attempts: 0 (canary, `failed`, `final` false) and 1 (stable, `ok`, `final` true).
A shadow copy has mode `shadow`, `final` false. `weight` is the canary's share in parts per 10,000
when the request was assigned, 0 when no canary was running. Times are epoch seconds, durations
seconds. `unit` is the hash that assigned the request. `trace_id` is the W3C trace that the request
was in, 32 hex digits, null for none; segments of older versions lack the column."""

LABEL_COLUMNS: tuple[tuple[str, str], ...] = (
    ("request_id", "string"),
    ("row", "int32"),
    ("key", "string"),
    ("label", "string"),
    ("at", "float64"),
    ("received_at", "float64"),
    ("source", "string"),
)
"""Columns of every label segment. Either `request_id` or `key` is set. `label` is the label as
text (numbers in shortest form); `at` is when it became known, epoch seconds."""


@dataclass(frozen=True, slots=True)
class CodedTexts:
    """A column of texts as positions among its different `names`, -1 for a missing one."""

    names: tuple[str, ...]
    places: Ints

    @classmethod
    def of(cls, values: "Column") -> "CodedTexts":
        """Objects of str | None as positions, names in the order in which they come."""
        if isinstance(values, CodedTexts):
            return values
        place: dict[str, int] = {}
        places = [
            -1 if text is None else place.setdefault(text, len(place)) for text in values.tolist()
        ]
        return cls(tuple(place), np.array(places, dtype=np.int64))

    @classmethod
    def missing(cls, rows: int) -> "CodedTexts":
        """As many missing ones."""
        return cls((), np.full(rows, -1, dtype=np.int64))

    def __len__(self) -> int:
        return self.places.size

    def __getitem__(self, index: NDArray[Any] | slice) -> "CodedTexts":
        return CodedTexts(self.names, self.places[index])

    def objects(self) -> Texts:
        """The same as objects of str | None: one object for each name, whoever asks."""
        if len(self.names) <= len(self):
            return np.array([*map(intern, self.names), None], dtype=object)[self.places]
        made = np.empty(len(self), dtype=object)
        names = self.names
        made[:] = [intern(names[each]) if each >= 0 else None for each in self.places.tolist()]
        return made

    def equal(self, text: str) -> NDArray[np.bool_]:
        """Which are this text."""
        if text not in self.names:
            return np.zeros(len(self), dtype=np.bool_)
        return np.asarray(self.places == self.names.index(text), dtype=np.bool_)

    def counts(self) -> Ints:
        """How often each name comes."""
        found = np.bincount(self.places + 1, minlength=len(self.names) + 1)
        return np.asarray(found[1:], dtype=np.int64)


Column = NDArray[Any] | CodedTexts
Maker = Callable[[], Column]


class Lazy(Mapping[str, NDArray[Any]]):
    """Columns of `size` rows by name, each made when somebody asks for it, and once."""

    def __init__(self, makers: Mapping[str, Maker], size: int) -> None:
        self.size = size
        self._makers = makers
        self._made: dict[str, Column] = {}
        self._objects: dict[str, Texts] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        made = self.made(name)
        if not isinstance(made, CodedTexts):
            return made
        if name not in self._objects:
            self._objects[name] = made.objects()
        return self._objects[name]

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def made(self, name: str) -> Column:
        """The column as it was made: texts may be coded."""
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def only(self, names: Collection[str]) -> "Lazy":
        """Those of these names, to be made anew: they outlive what is made here."""
        kept = {name: make for name, make in self._makers.items() if name in names}
        return Lazy(kept, self.size)

    def shortened(self, longest: int) -> "Lazy":
        """All of them, and of a text no more than `longest` characters."""
        makers = {n: partial(_shortened, make, longest) for n, make in self._makers.items()}
        return Lazy(makers, self.size)

    def take(self, index: NDArray[Any]) -> "Lazy":
        """The rows at `index` (positions or a boolean mask)."""
        size = int(np.count_nonzero(index)) if index.dtype == np.bool_ else index.size
        return Lazy({name: partial(self._at, name, index) for name in self._makers}, size)

    def part(self, start: int, stop: int) -> "Lazy":
        """The rows from `start` to before `stop`, as views."""
        place = slice(start, stop)
        return Lazy({name: partial(self._at, name, place) for name in self._makers}, stop - start)

    def _at(self, name: str, index: NDArray[Any] | slice) -> Column:
        return self.made(name)[index]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one deployment, as equally long columns named as in `FIXED_COLUMNS`.

    `inputs`/`outputs` map a column's name to float64 (missing = NaN) or object arrays of
    str | None. Rows of failed attempts have NaN / None outputs. Columns may be `Lazy`.
    """

    fixed: Mapping[str, NDArray[Any]]
    inputs: Mapping[str, NDArray[Any]]
    outputs: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        fixed = self.fixed
        return fixed.size if isinstance(fixed, Lazy) else len(fixed["request_id"])

    @property
    def prompt(self) -> NDArray[np.bool_]:
        """Rows that somebody waited for: what comes by the batch lane may take its time. Rows of a
        table came by no lane."""
        if "lane" not in self.fixed:
            return np.ones(len(self), dtype=np.bool_)
        return ~self.has("lane", BATCH)

    def has(self, name: str, text: str) -> NDArray[np.bool_]:
        """Rows whose fixed column `name` is this text."""
        held = _as_made(self.fixed, name)
        if isinstance(held, CodedTexts):
            return held.equal(text)
        return np.asarray(held == text, dtype=np.bool_)

    def texts(self, name: str) -> CodedTexts:
        """A fixed column of texts."""
        return CodedTexts.of(_as_made(self.fixed, name))

    def input(self, name: str) -> Column | None:
        """An input as it is held, where texts may be coded; None where there is none."""
        return _as_made(self.inputs, name) if name in self.inputs else None

    def take(self, index: NDArray[Any]) -> "Rows":
        """The rows at `index` (positions or a boolean mask)."""
        if index.dtype == np.bool_ and index.all():
            return self
        return Rows(
            _taken(self.fixed, index), _taken(self.inputs, index), _taken(self.outputs, index)
        )

    def part(self, start: int, stop: int) -> "Rows":
        """The rows from `start` to before `stop`, as views."""
        return Rows(*(_part(each, start, stop) for each in (self.fixed, self.inputs, self.outputs)))

    def apart(self) -> "Rows":
        """The same rows in memory of their own, with every column made."""
        return Rows(*(_copied(each) for each in (self.fixed, self.inputs, self.outputs)))

    def like(self, other: "Rows") -> bool:
        """Whether both have the same inputs and outputs, of the same types."""
        return all(
            mine.keys() == others.keys()
            and all(mine[name].dtype == others[name].dtype for name in mine)
            for mine, others in ((self.inputs, other.inputs), (self.outputs, other.outputs))
        )

    def keeping(self, inputs: Collection[str], longest: int) -> "Rows":
        """The same rows with no other inputs than these, to be held for long; of their texts no
        more than `longest` characters, where they are not decoded yet."""
        kept = (
            self.inputs.only(inputs).shortened(longest)
            if isinstance(self.inputs, Lazy)
            else {name: values for name, values in self.inputs.items() if name in inputs}
        )
        return Rows(_apart(self.fixed), kept, _apart(self.outputs))


def _shortened(make: Maker, longest: int) -> Column:
    """Texts without what is beyond; most have nothing there, and stay as they were made."""
    made = make()
    if isinstance(made, CodedTexts):
        within = all(len(name) <= longest for name in made.names)
        return made if within else CodedTexts.of(_cut(made.objects(), longest))
    if made.dtype != object or not any(_beyond(value, longest) for value in made.tolist()):
        return made
    return _cut(made, longest)


def _beyond(value: object, longest: int) -> bool:
    return isinstance(value, str) and len(value) > longest


def _cut(values: Texts, longest: int) -> Texts:
    cut = values.copy()
    for place, value in enumerate(values.tolist()):
        if _beyond(value, longest):
            cut[place] = value[:longest]
    return cut


def _as_made(columns: Mapping[str, NDArray[Any]], name: str) -> Column:
    return columns.made(name) if isinstance(columns, Lazy) else columns[name]


def _taken(columns: Mapping[str, NDArray[Any]], index: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
    if isinstance(columns, Lazy):
        return columns.take(index)
    return {name: column[index] for name, column in columns.items()}


def _part(columns: Mapping[str, NDArray[Any]], start: int, stop: int) -> Mapping[str, NDArray[Any]]:
    if isinstance(columns, Lazy):
        return columns.part(start, stop)
    return {name: column[start:stop] for name, column in columns.items()}


def _copied(columns: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    return {name: np.array(columns[name]) for name in columns}


def _apart(columns: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    return columns.only(columns) if isinstance(columns, Lazy) else columns


def no_rows() -> Rows:
    """Rows of which there is none, without inputs and outputs."""
    kinds = {name: object if kind == "string" else kind for name, kind in FIXED_COLUMNS}
    return Rows({name: np.empty(0, dtype=kind) for name, kind in kinds.items()}, {}, {})


def together(parts: Sequence[Rows]) -> Rows:
    """Rows of several parts as one. A column that a part lacks, or has of another type than the
    first that has it, is missing there."""
    if not parts:
        return no_rows()
    if len(parts) == 1:
        return parts[0]
    sizes = [len(part) for part in parts]
    return Rows(
        {name: np.concatenate([part.fixed[name] for part in parts]) for name in parts[0].fixed},
        _columns([part.inputs for part in parts], sizes),
        _columns([part.outputs for part in parts], sizes),
    )


def _columns(
    parts: Sequence[Mapping[str, NDArray[Any]]], sizes: Sequence[int]
) -> dict[str, NDArray[Any]]:
    kinds = {name: values.dtype for part in reversed(parts) for name, values in part.items()}
    made = {}
    for name, kind in kinds.items():
        missing: Any = np.nan if kind.kind == "f" else None
        pieces = [
            part[name] if name in part and part[name].dtype == kind else np.full(n, missing, kind)
            for part, n in zip(parts, sizes, strict=True)
        ]
        made[name] = np.concatenate(pieces)
    return made


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of one deployment, as equally long columns named as in `LABEL_COLUMNS`."""

    fixed: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.fixed["label"])


class Fate(StrEnum):
    """What became of a label: it was `fresh`, the first for a prediction that waited for one; the
    prediction is `unknown`, or had another label already (`contradicted`), or the same one, which
    others had said (`confirmed`) or this sender itself (`repeated`)."""

    FRESH = "fresh"
    UNKNOWN = "unknown"
    REPEATED = "repeated"
    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"


@dataclass(frozen=True, slots=True)
class Heard:
    """Labels as they came: `at` on the deployment's clock, the `Fate` of each, what the `first`
    label of its prediction says (of a fresh one, and where no prediction is known, its own text;
    empty where that is not known any more), who sent it, and what it says itself."""

    at: Floats
    fate: Texts
    first: Texts
    source: Texts
    label: Texts

    def take(self, index: NDArray[Any]) -> "Heard":
        """Those at `index` (positions or a boolean mask)."""
        columns = (self.at, self.fate, self.first, self.source, self.label)
        return Heard(*(each[index] for each in columns))


@dataclass(frozen=True, slots=True)
class Labelled:
    """Predictions joined with their labels: `rows` and, in the same order, `label` as text and who
    sent it, where that is known."""

    rows: Rows
    label: Texts
    labelled_at: Floats
    source: Texts | None = None

    def take(self, index: NDArray[Any]) -> "Labelled":
        """Those at `index` (positions or a boolean mask)."""
        source = None if self.source is None else self.source[index]
        return Labelled(self.rows.take(index), self.label[index], self.labelled_at[index], source)


@dataclass(frozen=True, slots=True)
class Told:
    """Values that training would have used, told after serving, as equally long columns.

    An answer is named by `request_id` with `row`, or by `key` where `request_id` is None. `at` is
    the event time that the values stand for, epoch seconds, NaN where not said. `values` are as
    `Rows.inputs`.
    """

    request_id: Texts
    row: Ints
    key: Texts
    at: Floats
    values: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True)
class Paired:
    """Answers and, in the same order, what was told of their inputs: `told` is as `rows.inputs`."""

    rows: Rows
    told: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: NDArray[Any]) -> "Paired":
        """Those at `index` (positions or a boolean mask)."""
        told = {name: column[index] for name, column in self.told.items()}
        return Paired(self.rows.take(index), told)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of rows that were told: `compared` with an answer, `repeated` because their
    answer was compared before, or `unmatched` because they name no answer in the log."""

    compared: int = 0
    repeated: int = 0
    unmatched: int = 0

    def __add__(self, other: "Comparison") -> "Comparison":
        return Comparison(
            self.compared + other.compared,
            self.repeated + other.repeated,
            self.unmatched + other.unmatched,
        )


def label_text(value: str | float | bool) -> str:
    """A label as the log keeps it, so that 1, 1.0 and "1" are the same label."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    return str(int(value)) if float(value).is_integer() else repr(float(value))
