"""`POST /invocations` as MLflow's scoring server takes and answers it, for clients of that server.

Source: MLflow, `mlflow.pyfunc.scoring_server`.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import msgspec

from trimtab.gateway import turns
from trimtab.gateway.answers import JSON, answer_headers, call_headers, encode_json
from trimtab.gateway.asked import Parameter, wanted_outputs
from trimtab.gateway.call import Call, Send
from trimtab.gateway.faults import Fault, bad
from trimtab.gateway.heads import CSV
from trimtab.gateway.http11 import Exchange
from trimtab.gateway.pieces import (
    InTurns,
    RawInvocation,
    csv_pieces,
    given,
    json_pieces,
    nulls_for_nan,
    of_tables,
)
from trimtab.gateway.plan import Plan
from trimtab.gateway.tables import (
    Table,
    inputs_of_table,
    table_of_columns,
    table_of_records,
    table_of_rows,
)
from trimtab.gateway.values import Inputs, OutputValues

PREDICTIONS = {"binary": "label", "multiclass": "label", "regression": "prediction"}
"""The output that `predict` of a model of each task gives; other tasks give all."""

_ERROR_CODES = {
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_SHAPES = ("dataframe_split", "dataframe_records", "instances", "inputs")
_NEEDED = f"the body must be an object with exactly one of {', '.join(_SHAPES)}"


class Split(msgspec.Struct, frozen=True, gc=False):
    """A data frame as pandas' orient `split`; its index says nothing to a model."""

    columns: list[str | int]
    data: list[list[Any]]


class Invocation(msgspec.Struct, frozen=True, gc=False):
    """A body in JSON."""

    dataframe_split: Split | None = None
    dataframe_records: list[dict[str, Any]] | None = None
    instances: list[Any] | None = None
    inputs: dict[str, Any] | list[Any] | None = None
    params: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(Invocation).decode
_decode_raw = msgspec.json.Decoder(RawInvocation).decode


class MlflowCaller:
    """`Caller` over an HTTP exchange. `read` comes first, and before it, where the body is `large`,
    all turns of `prepare`. The values of a large body are read in turns, once for each release."""

    __slots__ = (
        *("_answering", "_body", "_content", "_exchange", "_in_turns", "_params", "_table"),
        *("came_at", "client"),
    )

    def __init__(self, exchange: Exchange, content: str) -> None:
        self._exchange = exchange
        self.client = exchange.connection
        self.came_at = exchange.came_at
        self._body = exchange.body
        self._content = content
        self._params: dict[str, Any] = {}
        self._table: Table | None = None
        self._in_turns: InTurns

    @property
    def large(self) -> bool:
        """Whether others would wait for the body to be read at once."""
        return len(self._body) >= turns.LENGTHY

    def prepare(self) -> Iterator[None]:
        """Make JSON of the body of a client that writes NaN; raises a 400 `Fault`."""
        if self._content != CSV and b"NaN" in self._body:
            self._body = yield from nulls_for_nan(self._body)

    def read(self) -> Mapping[str, Parameter]:
        """Decode the body and return its params; raises a `Fault` (400, 413)."""
        if self._content == CSV:
            if self.large:
                self._in_turns = _in_turns(partial(csv_pieces, self._body))
            else:
                self._table = parse_csv(self._body)
        elif self.large:
            raw = parse_raw(self._body)
            self._in_turns = _in_turns(partial(json_pieces, raw))
            self._params = raw.params or {}
        else:
            invocation = parse_invocation(self._body)
            self._table = table_of(invocation)
            self._params = invocation.params or {}
        return self._params

    def inputs(self, plan: Plan, key: str | None) -> Inputs:
        """The values as a release takes them; raises a `Fault` (400, 413), or `Lengthy`."""
        if self._table is not None:
            return inputs_of_table(self._table, plan, key)
        return self._in_turns.inputs(plan, key)

    def outputs(self, plan: Plan) -> tuple[int, ...] | None:
        """Positions of `params.outputs`, or of what `predict` gives; raises a 400 `Fault`."""
        asked = self._params.get("outputs")
        if asked is None:
            position = plan.output_index.get(PREDICTIONS.get(plan.signature.task, ""))
            return None if position is None else (position,)
        names = [asked] if isinstance(asked, str) else asked
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise bad("params.outputs is not a name or a list of names")
        return wanted_outputs(names, plan)

    def answer(self, call: Call, values: Sequence[OutputValues], start: int) -> Send:
        """Encode the answer from the batch's rows `start` on; what is returned sends it."""
        chosen = values if call.outputs is None else [values[p] for p in call.outputs]
        if call.rows > turns.TURN_CELLS:
            return partial(self._answer_in_turns, call, chosen, start)
        body = encode_json({"predictions": _predictions(chosen, call.plan, start, call.rows)})
        return partial(self._exchange.respond, 200, body, answer_headers(call))

    def _answer_in_turns(self, call: Call, chosen: Sequence[OutputValues], start: int) -> None:
        """Encode and send an answer of many rows, while others are answered."""
        parts = _answer_parts(call, chosen, start)
        send = partial(self._exchange.respond, 200)
        self._answering = turns.sent_in_turns(parts, send, answer_headers(call))

    def refuse(self, call: Call, fault: Fault) -> Send:
        """Encode a refusal that names release and request; what is returned sends it."""
        return partial(refuse, self._exchange, fault, call_headers(call))

    def told(self, code: int) -> dict[str, str | int]:
        """The attributes of an answer over HTTP."""
        return {"http.request.method": "POST", "http.response.status_code": code}


def _in_turns(pieces: Callable[[Plan], Iterator[Table]]) -> InTurns:
    return InTurns(lambda plan, key: of_tables(pieces(plan), plan, key))


def _answer_parts(call: Call, chosen: Sequence[OutputValues], start: int) -> Iterator[bytes]:
    yield b'{"predictions":['
    for first in range(0, call.rows, turns.TURN_CELLS):
        rows = min(turns.TURN_CELLS, call.rows - first)
        part = encode_json(_predictions(chosen, call.plan, start + first, rows))
        yield b",%b" % part[1:-1] if first else part[1:-1]
    yield b"]}"


def refuse(exchange: Exchange, fault: Fault, headers: bytes = b"") -> None:
    """Answer with an error that MLflow's clients can read as well as all others."""
    code = _ERROR_CODES.get(fault.status, "BAD_REQUEST")
    body = encode_json({"error": fault.text, "error_code": code, "message": fault.text})
    exchange.respond(fault.status, body, JSON + fault.headers + headers)


def parse_invocation(data: bytes) -> Invocation:
    """A body in JSON; raises a 400 `Fault`.

    MLflow's client writes NaN for what is missing, which is not JSON; here it is null.
    """
    try:
        try:
            return _decode(data)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            if b"NaN" not in data:
                raise
            return msgspec.convert(_with_nan(data), Invocation)
    except msgspec.ValidationError as error:
        raise bad(f"{_NEEDED}: {error}") from None
    except RecursionError:
        raise bad("the body is nested too deeply") from None
    except ValueError as error:
        raise bad(f"the body is not JSON: {error}") from None


def parse_raw(data: bytes) -> RawInvocation:
    """A body in JSON whose rows are left for later; raises a 400 `Fault`."""
    try:
        body = _decode_raw(data)
    except msgspec.ValidationError as error:
        raise bad(f"{_NEEDED}: {error}") from None
    except RecursionError:
        raise bad("the body is nested too deeply") from None
    except ValueError as error:
        raise bad(f"the body is not JSON: {error}") from None
    _check_one([name for name in _SHAPES if given(getattr(body, name))])
    return body


def parse_csv(data: bytes) -> Table:
    """A CSV file with a header line; raises a 400 `Fault`."""
    try:
        text = data.decode("utf-8-sig")
        lines = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise bad(f"the body is not CSV: {error}") from None
    if not lines:
        raise bad("the CSV has no header line")
    return table_of_rows(lines[1:], lines[0], texts=True)


def _with_nan(data: bytes) -> Any:
    """What `json` makes of a body, with None for NaN; raises a `ValueError`.

    Unlike msgspec it takes half of a surrogate pair for a text, which has no bytes to be sent as.
    """
    body = json.loads(data.decode(), parse_constant=_constant)
    if b"\\u" in data:
        json.dumps(body, ensure_ascii=False).encode()
    return body


def _constant(name: str) -> None:
    if name != "NaN":
        raise ValueError(f"{name} is not JSON")


def table_of(body: Invocation) -> Table:
    """The rows of a body, whichever of the shapes it has; raises a 400 `Fault`."""
    _check_one([name for name in _SHAPES if getattr(body, name) is not None])
    if body.dataframe_split is not None:
        names = list(map(str, body.dataframe_split.columns))
        return table_of_rows(body.dataframe_split.data, names)
    if body.dataframe_records is not None:
        return table_of_records(body.dataframe_records)
    rows = body.inputs if body.instances is None else body.instances
    if isinstance(rows, dict):
        return table_of_columns(rows)
    return _rowwise(rows or [])


def _check_one(given: list[str]) -> None:
    if len(given) != 1:
        raise bad(f"{_NEEDED}, not {', '.join(given) or 'none of them'}")


def _rowwise(rows: list[Any]) -> Table:
    """Objects by name, lists by position, or single values of a single column."""
    if all(isinstance(row, dict) for row in rows):
        return table_of_records(rows)
    if all(isinstance(row, list) for row in rows):
        return table_of_rows(rows)
    return Table(len(rows), [rows], None)


def _predictions(chosen: Sequence[OutputValues], plan: Plan, start: int, rows: int) -> list[Any]:
    """One entry per row: its only output, or an object of several."""
    columns = [_column(each, plan, start, rows) for each in chosen]
    if len(columns) == 1:
        return columns[0]
    names = [each.output.name for each in chosen]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _column(values: OutputValues, plan: Plan, start: int, rows: int) -> list[Any]:
    """One entry per row: a value, or nested lists for an output with a shape."""
    output = values.output
    entries = values.fresh(start, rows)
    if output.name == "label" and output.kind == "text" and not output.shape:
        labels = _labels(plan.signature.classes)
        return [labels.get(entry, entry) for entry in entries]
    for size in reversed(output.shape):
        entries = [entries[i : i + size] for i in range(0, len(entries), size)]
    return entries


@lru_cache(maxsize=256)
def _labels(classes: tuple[str, ...]) -> dict[str, bool | int]:
    """Labels as `predict` gives them, where all classes are whole numbers or truth values."""
    if classes and set(classes) <= {"true", "false"}:
        return {name: name == "true" for name in classes}
    try:
        numbers = {name: int(name) for name in classes}
    except ValueError:
        return {}
    return numbers if all(str(number) == name for name, number in numbers.items()) else {}
