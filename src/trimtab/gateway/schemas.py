"""JSON schemas of what the inference listener takes and answers, for its OpenAPI description."""

from typing import Any

from trimtab.gateway.asked import MAX_ID
from trimtab.gateway.labels import MAX_LABELS

Schema = dict[str, Any]

SCALAR: Schema = {"type": ["string", "number", "boolean"]}
_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer", "minimum": 0}
_LONG: Schema = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
_ID: Schema = {"type": ["string", "null"], "maxLength": MAX_ID}
_DATATYPE: Schema = {
    "type": "string",
    "enum": [
        *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
        *("FP16", "FP32", "FP64", "BYTES"),
    ],
}


def _object(required: tuple[str, ...], **properties: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": properties}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def ref(name: str) -> Schema:
    """A reference to one of `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


_PARAMETERS: Schema = {"type": "object", "additionalProperties": SCALAR}
_TENSOR_PARAMETERS: Schema = {
    "type": "object",
    "properties": {"binary_data_size": _WHOLE},
    "additionalProperties": SCALAR,
}
_REQUEST_PARAMETERS: Schema = {
    "type": "object",
    "properties": {
        "event_time": {"type": "string", "format": "date-time"},
        "unit": SCALAR,
        "priority": _WHOLE,
        "timeout": {**_WHOLE, "description": "microseconds"},
        "binary_data_output": {"type": "boolean"},
    },
    "additionalProperties": SCALAR,
}
_WANTED: Schema = _object(
    ("name",),
    name=_TEXT,
    parameters=_or_null(
        {
            "type": "object",
            "properties": {"binary_data": {"type": "boolean"}},
            "additionalProperties": SCALAR,
        }
    ),
)
_INPUT: Schema = _object(
    ("name", "shape", "datatype"),
    name=_TEXT,
    shape=_list(_LONG),
    datatype=_DATATYPE,
    parameters=_or_null(_TENSOR_PARAMETERS),
    data={"type": "array", "items": {}},
)
_OUTPUT: Schema = _object(
    ("name", "shape", "datatype"),
    name=_TEXT,
    shape=_list(_WHOLE),
    datatype=_DATATYPE,
    parameters=_TENSOR_PARAMETERS,
    data=_list({"type": ["string", "number", "boolean", "null"]}),
)
_DESCRIBED: Schema = _object(
    ("name", "datatype", "shape"),
    name=_TEXT,
    datatype=_DATATYPE,
    shape=_list(_LONG),
    parameters=_PARAMETERS,
)
_LABEL: Schema = {
    **_object(
        ("label",),
        id={"type": ["string", "null"], "minLength": 1, "maxLength": MAX_ID},
        key={"type": ["string", "integer", "null"], "minLength": 1, "maxLength": MAX_ID},
        row={"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
        label={"type": ["string", "number", "boolean", "null"]},
        at={"type": ["string", "null"], "format": "date-time"},
    ),
    "oneOf": [
        {"required": ["id"], "properties": {"id": _TEXT}},
        {"required": ["key"], "properties": {"key": {"type": ["string", "integer"]}}},
    ],
}
_COUNTED: Schema = _object(("count", "ns"), count=_WHOLE, ns=_WHOLE)
_STATISTICS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
_ROWS: Schema = _list({})
_SHAPES: dict[str, Schema] = {
    "dataframe_split": _object(
        ("columns", "data"),
        columns=_list({"type": ["string", "integer"]}),
        data=_list(_ROWS),
    ),
    "dataframe_records": _list({"type": "object"}),
    "instances": _ROWS,
    "inputs": {"type": ["object", "array"]},
}

SCHEMAS: dict[str, Schema] = {
    "Error": _object(("error",), error=_TEXT),
    "InvocationError": _object(
        ("error", "error_code", "message"), error=_TEXT, error_code=_TEXT, message=_TEXT
    ),
    "Server": _object(
        ("name", "version", "extensions"), name=_TEXT, version=_TEXT, extensions=_list(_TEXT)
    ),
    "Live": _object(("live",), live={"const": True}),
    "ServerReady": _object(("live", "ready"), live={"const": True}, ready={"type": "boolean"}),
    "Ready": _object(("name", "ready"), name=_TEXT, ready={"type": "boolean"}),
    "Metadata": _object(
        ("name", "versions", "platform", "inputs", "outputs"),
        name=_TEXT,
        versions=_list(_TEXT),
        platform=_TEXT,
        inputs=_list(_DESCRIBED),
        outputs=_list(_DESCRIBED),
        properties={"type": "object", "additionalProperties": _TEXT},
    ),
    "Config": _object(
        ("name", "platform", "release", "deadline_seconds", "key", "routes"),
        name=_TEXT,
        platform=_TEXT,
        release=_TEXT,
        deadline_seconds={"type": "number"},
        key={"type": ["string", "null"]},
        routes=_list(
            _object(
                ("release", "mode", "weight_ratio"),
                release=_TEXT,
                mode={"enum": ["stable", "canary", "shadow"]},
                weight_ratio={"type": "number", "minimum": 0, "maximum": 1},
            )
        ),
    ),
    "Stats": _object(
        ("model_stats",),
        model_stats=_list(
            _object(
                ("name", "version", "inference_count", "execution_count", "inference_stats"),
                name=_TEXT,
                version=_TEXT,
                inference_count={**_WHOLE, "description": "rows"},
                execution_count={**_WHOLE, "description": "batches"},
                inference_stats=_object(_STATISTICS, **dict.fromkeys(_STATISTICS, _COUNTED)),
                batch_stats=_list({}),
            )
        ),
    ),
    "InferenceRequest": _object(
        ("inputs",),
        id=_ID,
        parameters=_or_null(_REQUEST_PARAMETERS),
        inputs={**_list(_INPUT), "minItems": 1},
        outputs=_or_null(_list(_WANTED)),
    ),
    "InferenceResponse": _object(
        ("model_name", "model_version", "id", "outputs"),
        model_name=_TEXT,
        model_version=_TEXT,
        id=_TEXT,
        outputs=_list(_OUTPUT),
    ),
    "Invocation": {
        **_object((), params=_or_null({"type": "object"}), **_SHAPES),
        "oneOf": [{"required": [shape]} for shape in _SHAPES],
    },
    "Predictions": _object(("predictions",), predictions=_ROWS),
    "Feedback": _object(("labels",), labels={**_list(_LABEL), "maxItems": MAX_LABELS}),
    "Accepted": _object(("accepted",), accepted=_WHOLE),
}
