"""`POST /invocations` as MLflow's scoring server takes and answers it, for clients of that server.

Source: MLflow, `mlflow.pyfunc.scoring_server`.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import msgspec

from trimtab.gateway.answers import JSON, answer_headers, call_headers, encode_json
from trimtab.gateway.asked import Parameter, wanted_outputs
from trimtab.gateway.call import Call, Send
from trimtab.gateway.faults import Fault, bad
from trimtab.gateway.heads import CSV
from trimtab.gateway.http11 import Exchange
from trimtab.gateway.plan import Plan
from trimtab.gateway.tables import (
    Table,
    inputs_of_table,
    table_of_columns,
    table_of_records,
    table_of_rows,
)
from trimtab.gateway.values import Inputs, OutputValues

MAX_CSV = 8 * 1024 * 1024
"""Bytes of a CSV body: its cells are read one by one, while other clients wait."""

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


class MlflowCaller:
    """`Caller` over an HTTP exchange. `read` comes first."""

    __slots__ = ("_content", "_exchange", "_params", "_table")

    def __init__(self, exchange: Exchange, content: str) -> None:
        self._exchange = exchange
        self._content = content
        self._params: dict[str, Any] = {}
        self._table: Table

    def read(self) -> Mapping[str, Parameter]:
        """Decode the body and return its params; raises a `Fault` (400, 413)."""
        if self._content == CSV:
            self._table = parse_csv(self._exchange.body)
        else:
            invocation = parse_invocation(self._exchange.body)
            self._table = table_of(invocation)
            self._params = invocation.params or {}
        return self._params

    @property
    def gone(self) -> bool:
        """Whether the client has closed its connection."""
        return self._exchange.abandoned

    def inputs(self, plan: Plan, key: str | None) -> Inputs:
        """The values as a release takes them; raises a 400 `Fault`."""
        return inputs_of_table(self._table, plan, key)

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
        columns = [_column(each, call.plan, start, call.rows) for each in chosen]
        if len(columns) == 1:
            predictions = columns[0]
        else:
            names = [each.output.name for each in chosen]
            predictions = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        body = encode_json({"predictions": predictions})
        return partial(self._exchange.respond, 200, body, answer_headers(call))

    def refuse(self, call: Call, fault: Fault) -> Send:
        """Encode a refusal that names release and request; what is returned sends it."""
        return partial(refuse, self._exchange, fault, call_headers(call))

    def told(self, code: int) -> dict[str, str | int]:
        """The attributes of an answer over HTTP."""
        return {"http.request.method": "POST", "http.response.status_code": code}


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
            return msgspec.convert(json.loads(data, parse_constant=_constant), Invocation)
    except msgspec.ValidationError as error:
        raise bad(f"{_NEEDED}: {error}") from None
    except RecursionError:
        raise bad("the body is nested too deeply") from None
    except ValueError as error:
        raise bad(f"the body is not JSON: {error}") from None


def parse_csv(data: bytes) -> Table:
    """A CSV file with a header line; raises a `Fault` (400, 413)."""
    if len(data) > MAX_CSV:
        raise Fault(413, f"the CSV is larger than {MAX_CSV} bytes; send JSON or binary tensors")
    try:
        text = data.decode("utf-8-sig")
        lines = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise bad(f"the body is not CSV: {error}") from None
    if not lines:
        raise bad("the CSV has no header line")
    return table_of_rows(lines[1:], lines[0], texts=True)


def _constant(name: str) -> None:
    if name != "NaN":
        raise ValueError(f"{name} is not JSON")


def table_of(body: Invocation) -> Table:
    """The rows of a body, whichever of the shapes it has; raises a 400 `Fault`."""
    given = [name for name in _SHAPES if getattr(body, name) is not None]
    if len(given) != 1:
        raise bad(f"{_NEEDED}, not {', '.join(given) or 'none of them'}")
    if body.dataframe_split is not None:
        names = list(map(str, body.dataframe_split.columns))
        return table_of_rows(body.dataframe_split.data, names)
    if body.dataframe_records is not None:
        return table_of_records(body.dataframe_records)
    rows = body.inputs if body.instances is None else body.instances
    if isinstance(rows, dict):
        return table_of_columns(rows)
    return _rowwise(rows or [])


def _rowwise(rows: list[Any]) -> Table:
    """Objects by name, lists by position, or single values of a single column."""
    if all(isinstance(row, dict) for row in rows):
        return table_of_records(rows)
    if all(isinstance(row, list) for row in rows):
        return table_of_rows(rows)
    return Table(len(rows), [rows], None)


def _column(values: OutputValues, plan: Plan, start: int, rows: int) -> list[Any]:
    """One entry per row: a value, or nested lists for an output with a shape."""
    output = values.output
    entries = values.of(start, rows)
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
