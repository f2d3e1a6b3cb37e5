"""Large tables, as CSV or in MLflow's shapes of JSON, a few rows at a time and in bounded memory.

What is read of them is kept as numbers; of the body itself only the bytes are.
"""

import csv
import io
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
import numpy as np

from trimtab.gateway.faults import Fault, bad
from trimtab.gateway.plan import Plan
from trimtab.gateway.tables import Table, inputs_of_table, table_of_rows
from trimtab.gateway.tensors import check_rows
from trimtab.gateway.turns import TURN_CELLS, Lengthy
from trimtab.gateway.values import Inputs, inputs_of_columns
from trimtab.ports.logsink import Texts

LONGEST_LINE = 1024 * 1024
"""Bytes of a line of CSV, which is read at once."""

MOST_LISTED = 2_000_000
"""Elements of a list of lists, of objects or of texts; each costs 100 bytes beside its own."""

TURN_BYTES = 32 * 1024

_decode = msgspec.json.Decoder().decode
_decode_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_NESTED = (b'"', b"[", b"{")


class Gathered:
    """The values of the pieces so far, as one request's. Raises 400 and 413 `Fault`s."""

    def __init__(self, plan: Plan, key: str | None) -> None:
        self._plan = plan
        self._key = key
        self._rows = 0
        self._matrix = bytearray()
        self._columns: list[Any] = [[] for _ in plan.columns]
        self._keys: Texts = []
        self._keyed = False

    def add(self, inputs: Inputs) -> None:
        """Take the next rows."""
        plan = self._plan
        check_rows(self._rows + inputs.rows, plan.most_rows)
        self._rows += inputs.rows
        if self._key is not None:
            self._keyed = self._keyed or inputs.key is not None
            self._keys += inputs.key or [None] * inputs.rows
        if inputs.matrix is not None:
            self._matrix += inputs.matrix
            return
        for column, values in zip(plan.columns, inputs.columns or (), strict=True):
            mine = self._columns[column.position]
            mine.append(values) if column.shape else mine.extend(values)

    def whole(self) -> Inputs:
        """All rows."""
        if not self._rows:
            raise bad("there are no rows")
        plan, keys = self._plan, self._keys if self._keyed else None
        if plan.matrix:
            return Inputs(self._rows, memoryview(self._matrix), None, keys)
        for position in plan.tensors:
            self._columns[position] = np.concatenate(self._columns[position])
        return inputs_of_columns(plan, self._rows, self._columns, keys)


class InTurns:
    """The values of a large body: read in turns, and once for all releases that take the same.

    `pieces` are its rows in order, as one of them takes them; it raises `Fault`s.
    """

    def __init__(self, pieces: Callable[[Plan, str | None], Iterator[Inputs]]) -> None:
        self._pieces = pieces
        self._read: dict[object, Inputs | Fault] = {}

    def inputs(self, plan: Plan, key: str | None) -> Inputs:
        """The values as a release takes them; raises a `Fault`, or `Lengthy` before the turns."""
        found = self._read.get((plan.same_inputs, key))
        if found is None:
            raise Lengthy(self._turns(plan, key))
        if isinstance(found, Fault):
            raise _again(found)
        return found

    def _turns(self, plan: Plan, key: str | None) -> Iterator[None]:
        gathered = Gathered(plan, key)
        try:
            for piece in self._pieces(plan, key):
                gathered.add(piece)
                yield
            self._read[plan.same_inputs, key] = gathered.whole()
        except Fault as fault:
            self._read[plan.same_inputs, key] = _again(fault)


def _again(fault: Fault) -> Fault:
    """The same, for one that was raised and is kept keeps all that it was raised of, the body too:
    in a circle, which only the collector ends, hundreds of bodies later."""
    return Fault(fault.status, fault.text, fault.headers)


def of_tables(tables: Iterator[Table], plan: Plan, key: str | None) -> Iterator[Inputs]:
    """The values of pieces of a table."""
    return (inputs_of_table(table, plan, key) for table in tables)


def csv_pieces(data: bytes, _: Plan) -> Iterator[Table]:
    """A CSV file with a header line; raises a `Fault` (400, 413)."""
    _check_lines(data)
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline=""), strict=True)
    lines = (row for row in reader if row)
    try:
        header = next(lines, None)
        if header is None:
            raise bad("the CSV has no header line")
        size, first = max(1, TURN_CELLS // len(header)), 0
        while rows := list(islice(lines, size)):
            yield table_of_rows(rows, header, texts=True, first=first)
            first += len(rows)
    except (UnicodeDecodeError, csv.Error) as error:
        raise bad(f"the body is not CSV: {error}") from None


def _check_lines(data: bytes) -> None:
    half = LONGEST_LINE // 2
    for start in range(0, len(data), half):
        end = start + half
        if end <= len(data) and data.find(b"\n", start, end) < 0 > data.find(b"\r", start, end):
            raise Fault(413, f"a line of the CSV is longer than {half} bytes")


class RawInvocation(msgspec.Struct, frozen=True, gc=False):
    """A body in JSON whose rows are not decoded yet."""

    dataframe_split: msgspec.Raw = msgspec.Raw()
    dataframe_records: msgspec.Raw = msgspec.Raw()
    instances: msgspec.Raw = msgspec.Raw()
    inputs: msgspec.Raw = msgspec.Raw()
    params: dict[str, Any] | None = None


class _RawSplit(msgspec.Struct, frozen=True, gc=False):
    columns: list[str | int]
    data: msgspec.Raw


class Listed:
    """The elements of a JSON array, decoded some at a time; raises a `Fault` (400, 413).

    `size` are its bytes, `count` its elements.
    """

    def __init__(self, text: bytes) -> None:
        self.size = len(text)
        self._text = text
        self._raws: list[msgspec.Raw] = []
        self._flat = _is_flat(text)
        if self._flat:
            self.count = text.count(b",") + 1 if text[1:-1].strip() else 0
            return
        opening = text[1:].lstrip()[:1]
        most = text.count(opening if opening in (b"[", b"{") else b",") + 1
        if most > MOST_LISTED:
            raise Fault(413, f"the body has more than {MOST_LISTED} rows; send it in parts")
        self._raws = _decode_raws(text)
        self.count = len(self._raws)

    def slices(self, size: int) -> Iterator[list[Any]]:
        """All elements, `size` at a time."""
        if not self._flat:
            for start in range(0, self.count, size):
                yield _decode(b"[%b]" % b",".join(map(bytes, self._raws[start : start + size])))
            return
        kept: list[Any] = []
        for text in self.texts():
            kept += _decode(text)
            while len(kept) >= size:
                yield kept[:size]
                kept = kept[size:]
        if kept:
            yield kept

    def texts(self) -> Iterator[bytes]:
        """An array that is flat, in parts that are arrays."""
        text, start, end = self._text, 1, len(self._text) - 1
        while start < end:
            cut = text.find(b",", start + TURN_BYTES, end)
            cut = end if cut < 0 else cut
            yield b"[%b]" % text[start:cut]
            start = cut + 1


def _is_flat(text: bytes) -> bool:
    """Whether an array holds neither texts nor arrays nor objects: then a comma ends an element."""
    return not any(text.find(each, 1) >= 0 for each in _NESTED)


def nulls_for_nan(data: bytes) -> Generator[None, None, bytes]:
    """The body with `null` for each NaN that is in no text, in turns; raises a 400 `Fault`."""
    if b"\\" in data:
        raise bad("a large body may not have NaN, which is not JSON, beside a backslash; send null")
    parts: list[bytes] = []
    start = quotes = 0
    while (at := data.find(b"NaN", start)) >= 0:
        quotes += data.count(b'"', start, at)
        parts += (data[start:at], b"NaN" if quotes % 2 else b"null")
        start = at + 3
        if len(parts) % TURN_CELLS == 0:
            yield
    return b"".join((*parts, data[start:]))


def json_pieces(body: RawInvocation, plan: Plan) -> Iterator[Table]:
    """The rows of a body that has exactly one of the shapes; raises a `Fault` (400, 413)."""
    try:
        yield from _json_pieces(body, plan)
    except RecursionError:
        raise bad("the body is nested too deeply") from None
    except ValueError as error:  # what is no UTF-8 is found when it is decoded
        raise bad(f"the body does not have the shape that it names: {error}") from None


def _json_pieces(body: RawInvocation, plan: Plan) -> Iterator[Table]:
    if given(body.dataframe_split):
        split = msgspec.json.decode(body.dataframe_split, type=_RawSplit)
        names = list(map(str, split.columns))
        return _pieces_of_rows(_listed(split.data), names)
    if given(body.dataframe_records):
        return _pieces_of_records(_listed(body.dataframe_records), plan)
    rows = body.instances if given(body.instances) else body.inputs
    text = bytes(rows)
    if text[:1] == b"{":
        return _pieces_of_columns(msgspec.json.decode(text, type=dict[str, msgspec.Raw]))
    listed = Listed(_list(text))
    opening = text[1:].lstrip()[:1]
    if opening == b"{":
        return _pieces_of_records(listed, plan)
    return _pieces_of_rows(listed, None) if opening == b"[" else _pieces_of_cells(listed)


def given(raw: msgspec.Raw) -> bool:
    """Whether a shape is given."""
    return bytes(raw) not in (b"", b"null")


def _list(text: bytes) -> bytes:
    if text[:1] != b"[":
        raise bad("the rows are not a list")
    return text


def _listed(raw: msgspec.Raw) -> Listed:
    return Listed(_list(bytes(raw)))


def turn(size: int, count: int) -> int:
    """Rows of a turn, of so many in so many bytes."""
    return max(1, min(TURN_CELLS, TURN_BYTES * count // max(1, size)))


def _pieces_of_rows(listed: Listed, names: Sequence[str] | None) -> Iterator[Table]:
    first = width = 0
    for rows in listed.slices(turn(listed.size, listed.count)):
        own = len(rows[0]) if isinstance(rows[0], list) else -1
        width = own if not first else width
        if own != width:
            raise bad(f"row {first} is not a list of {width} values")
        yield table_of_rows(rows, names, first=first)
        first += len(rows)


def _pieces_of_records(listed: Listed, plan: Plan) -> Iterator[Table]:
    """What an object lacks is missing, but no column may be missing from all of them."""
    first = 0
    seen: set[str] = set()
    for records in listed.slices(turn(listed.size, listed.count)):
        for number, record in enumerate(records, first):
            if not isinstance(record, dict):
                raise bad(f"row {number} is not an object")
        found = {name for record in records for name in record}
        seen |= found & plan.by_name.keys()
        names = [*found, *(name for name in plan.by_name if name not in found)]
        columns = [[record.get(name) for record in records] for name in names]
        yield Table(len(records), columns, names, first=first)
        first += len(records)
    if first and (absent := [name for name in plan.by_name if name not in seen]):
        raise bad(f"missing column {', '.join(map(repr, absent[:5]))}")


def _pieces_of_cells(listed: Listed) -> Iterator[Table]:
    first = 0
    for cells in listed.slices(turn(listed.size, listed.count)):
        yield Table(len(cells), [cells], None, first=first)
        first += len(cells)


def _pieces_of_columns(columns: Mapping[str, msgspec.Raw]) -> Iterator[Table]:
    texts = {name: bytes(raw) for name, raw in columns.items()}
    listed = {
        name: Listed(text if text[:1] == b"[" else b"[%b]" % text) for name, text in texts.items()
    }
    counts = {each.count for each in listed.values()}
    if len(counts) > 1:
        raise bad(f"the columns have different numbers of rows: {sorted(counts)[:5]}")
    total = sum(each.size for each in listed.values())
    size = turn(total, max(counts, default=0))
    first = 0
    for cells in zip(*(each.slices(size) for each in listed.values()), strict=True):
        yield Table(len(cells[0]), cells, list(listed), first=first)
        first += len(cells[0])
