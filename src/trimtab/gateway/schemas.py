"""JSON schemas of what the inference listener takes and answers, for its OpenAPI description."""

from typing import Any

from trimtab.gateway.asked import MAX_ID
from trimtab.gateway.labels import LONGEST_SOURCE, MAX_LABELS
from trimtab.gateway.plan import ColumnPlan, Plan

Schema = dict[str, Any]

_MONTHS = (
    "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])"
    "|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    "|02-(0[1-9]|1[0-9]|2[0-8]))"
)
TIME: Schema = {
    "type": "string",
    "format": "date-time",
    "description": "RFC 3339",
    "pattern": f"^[12][0-9]{{3}}-{_MONTHS}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    "([.][0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
}
"""A time; of leap years the pattern knows nothing, and 29 February is taken nevertheless."""

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


_TENSOR_PARAMETERS: Schema = {
    "type": "object",
    "properties": {"binary_data_size": _WHOLE},
    "additionalProperties": SCALAR,
}
_LANE_AND_TIME: dict[str, Schema] = {
    "priority": {**_WHOLE, "description": "above 1 is batch work"},
    "timeout": {**_WHOLE, "description": "microseconds"},
}
_REQUEST_PARAMETERS: Schema = {
    "type": "object",
    "properties": {
        "event_time": TIME,
        "unit": SCALAR,
        "binary_data_output": {"type": "boolean"},
        **_LANE_AND_TIME,
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
    parameters={
        "type": "object",
        "properties": {
            "nullable": {"type": "boolean"},
            "positive": {**_TEXT, "description": "the class that `score` is the probability of"},
            "classes": {**_list(_TEXT), "description": "in the order of `scores`"},
        },
        "additionalProperties": SCALAR,
    },
)
_LABEL: Schema = {
    **_object(
        ("label",),
        id={"type": ["string", "null"], "minLength": 1, "maxLength": MAX_ID},
        key={"type": ["string", "integer", "null"], "minLength": 1, "maxLength": MAX_ID},
        row={"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
        label={"type": ["string", "number", "boolean", "null"]},
        at={"anyOf": [TIME, {"type": "null"}]},
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

_ABSENT: dict[str, Schema] = {shape: {"type": "null"} for shape in _SHAPES}

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
    "Feedback": _object(
        ("labels",),
        labels={**_list(_LABEL), "maxItems": MAX_LABELS},
        source={"type": "string", "minLength": 1, "maxLength": LONGEST_SOURCE},
    ),
    "Accepted": _object(
        ("accepted",),
        accepted=_WHOLE,
        unusable={**_WHOLE, "description": "labels that the release cannot be judged by"},
        warning=_TEXT,
    ),
}


def rows_of(plan: Plan, key: str | None) -> Schema:
    """The bodies of `/invocations` that a release takes, row by row; `key` is the business key.

    Unlike a tensor, whose shape has to agree with its data, a row is described completely."""
    cells = {column.name: _cell(column) for column in plan.columns}
    names, of_columns = list(cells), list(cells.values())
    if key is not None and key not in cells:
        cells[key] = {"type": ["string", "number", "boolean", "null"]}
    record: Schema = {"type": "object", "required": names, "properties": cells}
    records = {**_list(record), "minItems": 1}
    split = _object(
        ("columns", "data"),
        columns={"const": names},
        data={**_list(_tuple(of_columns)), "minItems": 1},
    )
    shapes = {"dataframe_split": split, "dataframe_records": records, "instances": records}
    return {
        "oneOf": [
            _object((name,), **{**_ABSENT, name: shape}, params=_params(plan))
            for name, shape in shapes.items()
        ]
    }


def _params(plan: Plan) -> Schema:
    names = [output.name for output in plan.outputs]
    several = {**_list({"enum": names}), "uniqueItems": True}
    outputs: Schema = {"anyOf": [{"enum": names}, several, {"type": "null"}]}
    own = {name: _LANE_AND_TIME[name] for name in ("priority", "timeout")}
    properties = {"event_time": _or_null(TIME), "unit": _or_null(SCALAR), "outputs": outputs, **own}
    return _or_null({"type": "object", "properties": properties})


def _tuple(items: list[Schema]) -> Schema:
    return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}


def _cell(column: ColumnPlan) -> Schema:
    value: Schema = {"type": {"text": "string", "bool": "boolean"}.get(column.family, "number")}
    if value["type"] == "number":
        value = {"minimum": column.low, "maximum": column.high, "type": "number"}
        if column.family == "integer":
            value["type"] = "integer"
    if column.nullable:
        value["type"] = [value["type"], "null"]
    for size in reversed(column.shape):
        value = {"type": "array", "items": value, "minItems": size, "maxItems": size}
    return value
