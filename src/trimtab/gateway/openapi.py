"""The description of the inference listener that `GET /openapi.json` answers."""

from typing import Any

from trimtab import __version__

_ERROR = {
    "description": "an error",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}
_TENSOR: dict[str, Any] = {
    "type": "object",
    "required": ["name", "shape", "datatype", "data"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": {"type": "string"},
        "parameters": {"type": "object"},
        "data": {"type": "array", "items": {}},
    },
}
_TENSORS = {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}}
_SCHEMAS: dict[str, Any] = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string"}},
    },
    "Tensor": _TENSOR,
    "InferenceRequest": {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": _TENSORS,
            "outputs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}},
                },
            },
        },
    },
    "InferenceResponse": {
        "type": "object",
        "required": ["model_name", "model_version", "id", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": _TENSORS,
        },
    },
    "Feedback": {
        "type": "object",
        "required": ["labels"],
        "properties": {
            "labels": {
                "type": "array",
                "maxItems": 10000,
                "items": {
                    "type": "object",
                    "required": ["label"],
                    "properties": {
                        "id": {"type": "string"},
                        "key": {"type": ["string", "integer"]},
                        "row": {"type": "integer", "minimum": 0},
                        "label": {"type": ["string", "number", "boolean", "null"]},
                        "at": {"type": "string", "format": "date-time"},
                    },
                },
            }
        },
    },
}


def description() -> dict[str, Any]:
    """OpenAPI 3.1 of every path that the gateway answers."""
    paths: dict[str, Any] = {
        "/v2": _get("Server metadata"),
        "/v2/health/live": _get("Whether the server runs"),
        "/v2/health/ready": _get("Whether every deployment can answer", 503),
        "/metrics": {"get": _operation("Prometheus metrics", (), "text/plain")},
        "/openapi.json": _get("This description"),
        "/v2/models/{model}/feedback": _post("Send labels", "Feedback", (400, 404, 413, 415, 503)),
    }
    for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        paths[path] = _get("Metadata", 404)
        paths[f"{path}/ready"] = _get("Whether it can answer", 404, 503)
        paths[f"{path}/config"] = _get("Configuration", 404)
        paths[f"{path}/stats"] = _get("Counts of this gateway process", 404)
        paths[f"{path}/infer"] = _post(
            "Predict", "InferenceRequest", (400, 404, 413, 415, 429, 500, 503, 504)
        )
    for path, item in paths.items():
        names = [name for name in ("model", "version") if f"{{{name}}}" in path]
        if names:
            item["parameters"] = [_path_parameter(name) for name in names]
    return {
        "openapi": "3.1.0",
        "info": {"title": "trimtab inference", "version": __version__},
        "paths": paths,
        "components": {"schemas": _SCHEMAS},
    }


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _get(summary: str, *errors: int) -> dict[str, Any]:
    return {"get": _operation(summary, errors)}


def _post(summary: str, schema: str, errors: tuple[int, ...]) -> dict[str, Any]:
    operation = _operation(summary, errors)
    operation["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }
    return {"post": operation}


def _operation(
    summary: str, errors: tuple[int, ...], media: str = "application/json"
) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": "ok", "content": {media: {}}}}
    responses |= {str(status): _ERROR for status in errors}
    return {"summary": summary, "responses": responses}
