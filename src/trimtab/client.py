"""The Python client: predictions and labels, retried inside the caller's deadline.

Every call carries a request id, so a retry of a request whose answer was lost is the same request
to trimtab. The client is not thread-safe: give each thread its own.
"""

import http.client
import json
import math
import ssl
import time
import uuid
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple, Protocol
from urllib.parse import quote, urlsplit

from trimtab import errors

Cell = str | float | bool | None


class Frame(Protocol):
    """What is used of a pandas.DataFrame."""

    @property
    def columns(self) -> Iterable[Any]:
        """The names of its columns."""
        ...

    def __getitem__(self, name: Any) -> Any:
        """A column."""
        ...


Table = Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]] | Frame
"""Rows: a cell is one value, or nested lists or an array where the input has a shape per row."""

Lane = Literal["realtime", "batch"]

_PRIORITIES: Mapping[Lane, int] = {"realtime": 1, "batch": 2}

_RETRIED_STATUS = frozenset({429, 502, 503})
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer. `outputs` maps an output's name to one value (or list) per row, in order."""

    id: str
    release: str
    outputs: Mapping[str, list[Any]]

    def __len__(self) -> int:
        return max((len(values) for values in self.outputs.values()), default=0)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one try: `wait` is the Retry-After in seconds, `release` who answered."""

    status: int
    text: bytes
    wait: float | None = None
    release: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """The truth about one prediction: named by request id and row, or by business key."""

    label: Cell
    id: str | None = None
    row: int = 0
    key: str | None = None
    at: datetime | None = None


class LabelWarning(UserWarning):
    """Labels were stored that the release cannot be judged by; the message says why."""


class Client:
    """A connection to a trimtab inference listener.

    `deadline` is the default time, in seconds, that a call may take with all its retries.
    `refusals` counts the times that the server had no room and a call was tried again later,
    `unusable` the labels that were stored and that the release cannot be judged by.
    Errors: `Usage` TT-901 when the server refuses the request (the message is the server's) or it
    cannot be written as JSON, `Permanent` TT-901 when the release failed on it or the server's
    certificate is not trusted, `NotFound` TT-601, `Unavailable` TT-109 or `TimedOut` TT-901 when
    the deadline passed.
    """

    def __init__(self, url: str = "http://127.0.0.1:8080", deadline: float = 10.0) -> None:
        self.refusals = self.unusable = 0
        self._address = _address(url)
        self._deadline = deadline
        self._connection: http.client.HTTPConnection | None = None
        self._columns: dict[str, dict[str, tuple[str, list[int]]]] = {}

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def predict(
        self,
        deployment: str,
        rows: Table,
        *,
        id: str | None = None,
        event_time: datetime | None = None,
        deadline: float | None = None,
        lane: Lane = "realtime",
    ) -> Prediction:
        """Answers for `rows`: a list of dicts, a dict of columns, a pandas or polars frame, or an
        Arrow table.

        None, NaN and pandas.NA mean missing. `event_time` is when the rows happened, if not now.
        Work in the `batch` lane waits for realtime work.
        """
        request_id = id or uuid.uuid4().hex
        seconds = self._deadline if deadline is None else deadline
        columns, end = _columns_of(rows), time.monotonic() + seconds
        body = {
            "id": request_id,
            "inputs": self._tensors(deployment, columns, seconds),
            "parameters": _parameters(event_time, seconds, lane),
        }
        path = _path(deployment, "/infer")
        try:
            reply = self._call("POST", path, body, seconds)
        except errors.Usage:
            left = end - time.monotonic()
            if not self._takes_others(deployment, left):
                raise
            body["inputs"] = self._tensors(deployment, columns, left)
            reply = self._call("POST", path, body, left)
        answer = json.loads(reply.text)
        outputs = {output["name"]: _nested(output) for output in answer["outputs"]}
        return Prediction(answer.get("id", request_id), reply.release, outputs)

    def label(
        self,
        deployment: str,
        labels: Iterable[Label],
        deadline: float | None = None,
        source: str | None = None,
    ) -> int:
        """Send labels; returns how many were accepted (durably, all or none).

        `source` says where they come from, so that one that errs is told from the others. Warns
        (`LabelWarning`) of labels that are none of the classes, or no number."""
        body: dict[str, Any] = {"labels": [_entry(label, i) for i, label in enumerate(labels)]}
        if source is not None:
            body["source"] = source
        seconds = self._deadline if deadline is None else deadline
        path = _path(deployment, "/feedback")
        told = json.loads(self._call("POST", path, body, seconds).text)
        if told.get("unusable"):
            self.unusable += told["unusable"]
            warnings.warn(told["warning"], LabelWarning, stacklevel=2)
        return int(told["accepted"])

    def metadata(self, deployment: str) -> dict[str, Any]:
        """The deployment's inputs and outputs, as the Open Inference Protocol describes them."""
        return self._described(deployment, self._deadline)

    def config(self, deployment: str) -> dict[str, Any]:
        """How the deployment is answered: `release`, `deadline_seconds`, `key`, `routes`."""
        reply = self._call("GET", _path(deployment, "/config"), None, self._deadline)
        told: dict[str, Any] = json.loads(reply.text)
        return told

    def _described(self, deployment: str, seconds: float) -> dict[str, Any]:
        reply = self._call("GET", _path(deployment), None, seconds)
        described: dict[str, Any] = json.loads(reply.text)
        return described

    def _tensors(
        self, deployment: str, columns: Mapping[str, Sequence[Any]], seconds: float
    ) -> list[dict[str, Any]]:
        types = self._types(deployment, seconds)
        tensors = []
        for name, values in columns.items():
            datatype, shape = types.get(name, ("BYTES", []))
            data: list[Cell] = []
            for row, value in enumerate(values):
                data += _cells(value, name, row) if shape else [_cell(value, name, row)]
            size = [len(values), *shape]
            tensors.append({"name": name, "datatype": datatype, "shape": size, "data": data})
        return tensors

    def _types(self, deployment: str, seconds: float) -> dict[str, tuple[str, list[int]]]:
        """Datatype and shape of a row by column, asked for once."""
        if deployment not in self._columns:
            inputs = self._described(deployment, seconds)["inputs"]
            self._columns[deployment] = {
                entry["name"]: (entry["datatype"], entry["shape"][1:]) for entry in inputs
            }
        return self._columns[deployment]

    def _takes_others(self, deployment: str, seconds: float) -> bool:
        """Whether another release serves by now, which takes other columns than were known."""
        before = self._columns.pop(deployment)
        return self._types(deployment, seconds) != before

    def _call(self, method: str, path: str, body: Any, seconds: float) -> Reply:
        payload = None if body is None else json.dumps(body, allow_nan=False).encode()
        end = time.monotonic() + seconds
        pause = _FIRST_PAUSE
        while True:
            left = end - time.monotonic()
            problem: Exception | str
            try:
                reply = self._exchange(method, path, payload, max(left, 0.001))
            except ssl.SSLCertVerificationError as cause:
                raise self._untrusted(path, cause) from cause
            except (OSError, http.client.HTTPException) as cause:
                self.close()
                reply, problem = Reply(0, b""), cause
            else:
                if reply.status not in _RETRIED_STATUS:
                    return self._accepted(reply, path)
                self.refusals += reply.status == http.client.TOO_MANY_REQUESTS
                problem = _error_text(reply.text)
            pause = min(max(reply.wait or 0.0, pause), _LONGEST_PAUSE)
            if time.monotonic() + pause >= end:
                told = self._unanswered(seconds) if reply.status == 0 else problem
                raise _gave_up(path, reply.status, str(told), seconds) from (
                    problem if isinstance(problem, Exception) else None
                )
            time.sleep(pause)
            pause *= 2

    def _accepted(self, reply: Reply, path: str) -> Reply:
        if reply.status == http.client.OK:
            return reply
        wrong = reply.status < http.client.INTERNAL_SERVER_ERROR
        other = errors.Usage if wrong else errors.Permanent
        family = {404: errors.NotFound, 504: errors.TimedOut}.get(reply.status, other)
        missing = reply.status == http.client.NOT_FOUND
        code = errors.NO_SUCH_DEPLOYMENT if missing else errors.REQUEST_FAILED
        asked = wrong and not missing
        hint = self._description(path) if asked else "trimtab status"
        raise family(code, "call", path, _error_text(reply.text), hint=hint)

    def _description(self, path: str) -> str:
        """The command that shows what a deployment takes, and gives."""
        model = path.removeprefix("/v2/models/").partition("/")[0]
        return f"curl -s {self._address}/v2/models/{model}"

    def _unanswered(self, seconds: float) -> str:
        return f"no answer from {self._address} in {seconds:g} s"

    def _untrusted(self, path: str, cause: ssl.SSLCertVerificationError) -> errors.Permanent:
        self.close()
        problem = f"the certificate of {self._address} is not trusted: {cause.verify_message}"
        hint = "export SSL_CERT_FILE=ca.pem"
        return errors.Permanent(errors.REQUEST_FAILED, "call", path, problem, hint=hint)

    def _exchange(self, method: str, path: str, payload: bytes | None, left: float) -> Reply:
        if self._connection is None:
            self._connection = self._address.connection()
        self._connection.timeout = left
        if self._connection.sock is not None:
            self._connection.sock.settimeout(left)
        headers = {"Content-Type": "application/json"} if payload else {}
        self._connection.request(method, path, payload, headers)
        response = self._connection.getresponse()
        text = response.read()
        wait = response.headers.get("Retry-After", "")
        release = response.headers.get("X-Trimtab-Release", "")
        return Reply(response.status, text, float(wait) if wait.isdigit() else None, release)


class _Address(NamedTuple):
    """Where a server answers. Certificates are checked against those that the system trusts, or
    those of `SSL_CERT_FILE`."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def connection(self) -> http.client.HTTPConnection:
        """One that is not opened yet."""
        if self.scheme == "https":
            return http.client.HTTPSConnection(self.host, self.port)
        return http.client.HTTPConnection(self.host, self.port)


def _address(url: str) -> _Address:
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    usual = {"http": 80, "https": 443}
    if parts.scheme not in usual or host is None:
        hint = f"http://{url.partition('://')[2] or url}"
        problem = "not an http:// or https:// address"
        raise errors.Usage(errors.BAD_VALUE, "connect", url, problem, hint=hint)
    return _Address(parts.scheme, host, port or usual[parts.scheme])


def _path(deployment: str, asked: str = "") -> str:
    return f"/v2/models/{quote(deployment, safe='', errors='surrogateescape')}{asked}"


def _columns_of(rows: Any) -> Mapping[str, Sequence[Any]]:
    if hasattr(rows, "to_pydict"):  # an Arrow table or batch
        _distinct(rows.column_names)
        columns: dict[str, list[Any]] = rows.to_pydict()
        return columns
    if hasattr(rows, "columns"):
        return {str(name): _listed(rows[name]) for name in _distinct(list(rows.columns))}
    if isinstance(rows, Mapping):
        return {name: _column(name, values) for name, values in rows.items()}
    if hasattr(rows, "tolist") or not isinstance(rows, Sequence) or isinstance(rows, str):
        kind = type(rows).__name__
        raise _unsendable(f"a {kind} does not name its columns: give a frame, or a dict of columns")
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            kind = type(row).__name__
            raise _unsendable(f"row {number} is of type {kind} and does not name its columns")
        if row.keys() != rows[0].keys():
            odd = sorted(row.keys() ^ rows[0].keys())
            problem = f"row {number} has other columns than row 0: {', '.join(map(repr, odd))}"
            raise _unsendable(problem)
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def _distinct(names: list[Any]) -> list[Any]:
    for name in names:
        if names.count(name) > 1:
            raise _unsendable(f"there are two columns {name!r}")
    return names


def _column(name: str, values: Any) -> Sequence[Any]:
    listed = _listed(values)
    if isinstance(listed, str) or not isinstance(listed, Sequence):
        raise _unsendable(f"{name!r} is one value, and a column has a list of one for each row")
    return listed


def _listed(values: Any) -> Any:
    """A column of numpy, pandas, polars or Arrow as plain values."""
    for way in ("to_list", "to_pylist", "tolist"):
        if hasattr(values, way):
            return getattr(values, way)()
    return values


def _cell(value: Any, column: str, row: int) -> Cell:
    plain: Any = value.item() if hasattr(value, "item") else value
    if isinstance(plain, str | int) or plain is None:
        return plain
    kind = type(plain).__name__
    if kind == "NAType" or plain != plain:  # noqa: PLR0124 - NaN and NaT are unequal to themselves
        return None
    if isinstance(plain, Decimal):
        whole = plain.is_finite() and plain == plain.to_integral_value()
        plain = int(plain) if whole else float(plain)
    if not isinstance(plain, float | int):
        raise _unsendable(f"{column!r} row {row} is a {kind}, and no number, text or truth value")
    if isinstance(plain, float) and math.isinf(plain):
        raise _unsendable(f"{column!r} row {row} is {plain}, which is no number in JSON")
    return plain


def _cells(value: Any, column: str, row: int) -> list[Cell]:
    """The numbers of a row of a tensor, one after another."""
    plain = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(plain, list | tuple):
        return [_cell(plain, column, row)]
    return [cell for part in plain for cell in _cells(part, column, row)]


def _unsendable(
    problem: str, hint: str = "None and NaN mean missing; every row names the same columns"
) -> errors.Usage:
    return errors.Usage(
        errors.REQUEST_FAILED,
        "write request",
        "rows",
        problem,
        unchanged="nothing was sent",
        hint=hint,
    )


def _parameters(event_time: datetime | None, seconds: float, lane: Lane) -> dict[str, Any]:
    parameters: dict[str, Any] = {"timeout": int(seconds * 1e6), "priority": _PRIORITIES[lane]}
    if event_time is not None:
        parameters["event_time"] = _rfc3339(event_time)
    return parameters


def _rfc3339(time: datetime) -> str:
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()


def _entry(label: Label, number: int) -> dict[str, Any]:
    keyed = {"key": label.key} if label.key is not None else {"id": label.id, "row": label.row}
    named = {name: _cell(value, name, number) for name, value in keyed.items()}
    at = {} if label.at is None else {"at": _rfc3339(label.at)}
    truth = _cell(label.label, "label", number)
    if truth is None and label.label is not None:
        # Of several labels of a prediction the first counts: one that is missing would be it.
        problem = f"label {number} is {label.label}, which says nothing"
        raise _unsendable(problem, "leave labels out until they are known")
    return {**named, "label": truth, **at}


def _nested(output: Mapping[str, Any]) -> list[Any]:
    data: list[Any] = output["data"]
    if len(output["shape"]) == 1 or (data and isinstance(data[0], list)):
        return data
    for width in reversed(output["shape"][1:]):
        data = [data[start : start + width] for start in range(0, len(data), width)]
    return data


def _error_text(text: bytes) -> str:
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text.decode(errors="replace")[:200]


def _gave_up(path: str, status: int, problem: str, seconds: float) -> errors.TrimtabError:
    if status == 0:
        return errors.Unavailable(errors.NOT_RUNNING, "call", path, problem, hint="trimtab up")
    message = f"still status {status} after {seconds:g} s: {problem}"
    return errors.TimedOut(errors.REQUEST_FAILED, "call", path, message, hint="trimtab status")
