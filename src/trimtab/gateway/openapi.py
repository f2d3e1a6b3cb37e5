"""The description of the inference listener that `GET /openapi.json` answers."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from trimtab import __version__
from trimtab.gateway.asked import MAX_ID
from trimtab.gateway.schemas import SCHEMAS, Schema, ref

_HTTP_ERRORS = (400, 408, 413, 415, 417, 429, 431)
"""What any request may be refused with before its path is looked at."""

_TEXTS = {
    200: "the answer",
    400: "the request is wrong; the text says where",
    404: "no such deployment, release or path",
    408: "the request did not arrive in time",
    413: "the body is too large",
    415: "the body is of another type or coding",
    417: "an unknown expectation",
    429: "too many requests wait; come back after Retry-After",
    431: "the header is too large",
    500: "the release failed; the log has the detail under the request's id",
    503: "nothing can answer now; come back after Retry-After",
    504: "the deadline passed",
}
_INFERENCE_ERRORS = (404, 500, 503, 504)
_JSON = "application/json"
_BYTES = "application/octet-stream"
_TEXT = "text/plain"
_TEXT_SCHEMA: Schema = {"type": "string"}
_BINARY: Schema = {"type": "string", "format": "binary"}


def description(rows: Mapping[str, Schema]) -> dict[str, Any]:
    """OpenAPI 3.1 of every path that the gateway answers.

    `rows` has, for each deployment, the bodies of `/invocations` that its release takes."""
    paths = {**_server_paths(), **_invocation_paths()}
    for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        paths |= _model_paths(path)
    paths["/v2/models/{model}/feedback"] = _post(
        "Send labels", {_JSON: ref("Feedback")}, {_JSON: ref("Accepted")}, (404, 503)
    )
    parts: dict[str, Schema] = {
        "model": {"type": "string", "enum": sorted(rows)} if rows else _TEXT_SCHEMA,
        "version": {"type": "string", "pattern": "^[0-9]+$"},
    }
    for path, item in paths.items():
        item["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": schema}
            for name, schema in parts.items()
            if f"{{{name}}}" in path
        ]
    for name in rows:
        paths[f"/invocations/{quote(name)}"] = _invocation(f"Predict by {name}", f"RowsOf.{name}")
    own = {f"RowsOf.{name}": schema for name, schema in rows.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "trimtab inference", "version": __version__},
        "paths": paths,
        "components": {"schemas": SCHEMAS | own},
    }


def _server_paths() -> dict[str, Any]:
    return {
        "/v2": _get("Server metadata", ref("Server")),
        "/v2/": _get("Server metadata", ref("Server")),
        "/v2/health/live": _get("Whether the server runs", ref("Live")),
        "/v2/health/ready": _get(
            "Whether all deployments that have a release can answer", ref("ServerReady"), busy=True
        ),
        "/v2/models/stats": _get("Counts of this gateway process", ref("Stats")),
        "/metrics": _get_text("Prometheus metrics"),
        "/openapi.json": _get("This description", {"type": "object"}),
        "/ping": _get_text("Whether every deployment can answer", 503),
        "/health": _get_text("Whether every deployment can answer", 503),
        "/version": _get_text("The version of trimtab"),
    }


def _model_paths(path: str) -> dict[str, Any]:
    answers = {_JSON: ref("InferenceResponse"), _BYTES: _BINARY}
    infer = _post(
        "Predict", {_JSON: ref("InferenceRequest"), _BYTES: _BINARY}, answers, _INFERENCE_ERRORS
    )
    json_size = _header("Inference-Header-Content-Length", {"type": "integer", "minimum": 0})
    infer["post"]["parameters"] = [*_REQUEST_HEADERS, json_size]
    return {
        path: _get("Metadata", ref("Metadata"), 404, 503),
        f"{path}/ready": _get("Whether it can answer", ref("Ready"), 404, busy=True),
        f"{path}/config": _get("Configuration", ref("Config"), 404, 503),
        f"{path}/stats": _get("Counts of this gateway process", ref("Stats"), 404, 503),
        f"{path}/infer": infer,
    }


def _invocation_paths() -> dict[str, Any]:
    """The same for the only deployment, and for a named one."""
    return {
        path: _invocation("Predict, in MLflow's shapes", "Invocation", csv=True)
        for path in ("/invocations", "/invocations/{model}")
    }


def _invocation(summary: str, schema: str, *, csv: bool = False) -> dict[str, Any]:
    takes = {_JSON: ref(schema)} | ({"text/csv": _TEXT_SCHEMA} if csv else {})
    item = _post(summary, takes, {_JSON: ref("Predictions")}, _INFERENCE_ERRORS)
    item["post"]["parameters"] = _REQUEST_HEADERS
    return item


def _header(name: str, schema: Schema) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": schema}


_REQUEST_HEADERS = [
    _header("X-Request-Id", {"type": "string", "maxLength": MAX_ID, "pattern": "^[ -~]*$"}),
    _header("X-Trimtab-Priority", {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}),
    _header("X-Trimtab-Timeout-Ms", {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}),
]


def _get(summary: str, answer: Schema, *errors: int, busy: bool = False) -> dict[str, Any]:
    """`busy`: 503 has the same body, which says what is not ready."""
    operation = _operation(summary, {_JSON: answer}, errors)
    if busy:
        operation["responses"]["503"] = _response(503, {_JSON: answer})
    return {"get": operation}


def _get_text(summary: str, *busy: int) -> dict[str, Any]:
    answer: dict[str, Schema] = {_TEXT: _TEXT_SCHEMA}
    operation = _operation(summary, answer, ())
    operation["responses"] |= {str(status): _response(status, answer) for status in busy}
    return {"get": operation}


def _post(
    summary: str, takes: dict[str, Schema], answers: dict[str, Schema], errors: tuple[int, ...]
) -> dict[str, Any]:
    operation = _operation(summary, answers, errors)
    operation["requestBody"] = {"required": True, "content": _content(takes)}
    return {"post": operation}


def _operation(summary: str, answers: dict[str, Schema], errors: tuple[int, ...]) -> dict[str, Any]:
    responses = {"200": _response(200, answers)}
    for status in sorted({*errors, *_HTTP_ERRORS}):
        responses[str(status)] = _response(status, {_JSON: ref("Error")})
    return {"summary": summary, "responses": responses}


def _response(status: int, content: dict[str, Schema]) -> dict[str, Any]:
    return {"description": _TEXTS[status], "content": _content(content)}


def _content(types: dict[str, Schema]) -> dict[str, Any]:
    return {media: {"schema": schema} for media, schema in types.items()}
