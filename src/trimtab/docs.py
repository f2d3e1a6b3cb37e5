"""Writes what the documentation says about registries: settings, errors, metrics, events, shapes.

`python -m trimtab.docs` writes the pages below `docs/reference`, the JSON Schema of
`trimtab.toml` for editors, and the Grafana dashboard with its alerts; `--check` writes nothing and
exits with 1 when one of them is out of date. Both work on the checkout in the current folder.
"""

import argparse
import inspect
import json
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from trimtab import errors
from trimtab.domain import events, settings, telemetry
from trimtab.domain.deployment import DeploymentSpec, PipelineSpec, ServerSpec
from trimtab.domain.otel import TelemetrySpec
from trimtab.domain.settings import Kind, Setting
from trimtab.domain.telemetry import Metric
from trimtab.views import demo_shapes, report_shapes, sample_shapes, sent_shapes, shapes

REFERENCE = "docs/reference"
MEANINGS = f"{REFERENCE}/errors.toml"
"""Written by hand: what each error code means and what to do about it."""

_DEFAULTS: dict[str, object] = {
    "server": ServerSpec(),
    "telemetry": TelemetrySpec(),
    "deployment": DeploymentSpec(name="", model=""),
    "model": PipelineSpec(model="", module="", steps=(), requirements=""),
}
_REQUIRED = {("model", "pipeline"), ("model", "steps"), ("model", "requirements")}
_HEADINGS = {
    "server": ("`[server]`", "Listeners and processes of one machine."),
    "telemetry": (
        "`[telemetry]`",
        "What is sent to [a collector](../operations.md#opentelemetry); nothing, if none is named.",
    ),
    "deployment": ("`[deployment.NAME]`", "The name that clients call, and its desired state."),
    "model": ("`[model.NAME]`", "How the model is made: what `trimtab retrain` runs."),
}
_FAMILIES = {
    "1": "Configuration and command line",
    "2": "Releases and building",
    "3": "Environments",
    "4": "Serving",
    "5": "Metadata and journal",
    "6": "Deployments, rollouts and retraining",
    "7": "Processes of one machine",
    "8": "Request log and labels",
    "9": "Client and demonstration",
}


class Meaning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of `errors.toml`: what happened, and what to do."""

    means: str
    do: str


def generate(root: Path) -> dict[str, str]:
    """The text of every generated file by its path below `root`.

    Raises `ValueError` when `errors.toml` lacks a code, or knows one that is not declared."""
    return {
        f"{REFERENCE}/settings.md": settings_page(),
        f"{REFERENCE}/errors.md": errors_page(read_meanings(root / MEANINGS)),
        f"{REFERENCE}/metrics.md": metrics_page(),
        f"{REFERENCE}/events.md": events_page(),
        f"{REFERENCE}/shapes.md": shapes_page(),
        f"{REFERENCE}/trimtab.schema.json": _json(schema()),
        "grafana/dashboard.json": _json(dashboard()),
        "grafana/alerts.yaml": alerts_file(),
    }


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _page(title: str, intro: str, *parts: str) -> str:
    note = "<!-- Written by `python -m trimtab.docs`; edit the registry it is made from. -->"
    return "\n\n".join([note, f"# {title}", intro, *parts]) + "\n"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def settings_page() -> str:
    """Every key of `trimtab.toml` with its kind and default."""
    intro = (
        "Every key of `trimtab.toml`. A key that is not listed is an error, never ignored. "
        "Durations are written `500ms`, `30s`, `10m`, `1h`, `1d`, `1w`, or as a number of seconds. "
        "An inline table and a table of its own mean the same: "
        '`slo = { latency_p99 = "50ms" }` sets `slo.latency_p99`.\n\n'
        "A key of `[server]` or `[telemetry]` can also be given as an environment variable, which "
        "goes before the file: `TRIMTAB_SERVER_` or `TRIMTAB_TELEMETRY_` and the key in capitals, "
        "for example `TRIMTAB_SERVER_ADMIN`. "
        "`TRIMTAB_HOME` moves the state folder.\n\n"
        "Editors that read JSON Schema can check the file as it is written: point them at "
        "[trimtab.schema.json](trimtab.schema.json)."
    )
    return _page("Settings", intro, *(_settings_of(name) for name in settings.TABLES))


def _settings_of(table: str) -> str:
    heading, text = _HEADINGS[table]
    rows = (
        (f"`{s.key}`", s.kind.name, f"`{s.kind.example}`", default_of(table, s), s.help)
        for s in settings.TABLES[table]
    )
    columns = ("Key", "Takes", "Example", "Default", "Meaning")
    return f"## {heading}\n\n{text}\n\n{_table(columns, rows)}"


def default_of(table: str, setting: Setting) -> str:
    """The default as it would be written in the file, or in words where it cannot be."""
    if (table, setting.key) in _REQUIRED:
        return "required"
    if (table, setting.key) == ("deployment", "model"):
        return "the deployment's name"
    value: Any = _DEFAULTS[table]
    if setting.key.startswith("slo.latency_p"):
        objective = DeploymentSpec(name="", model="").objective
        promised = f"slo.latency_p{objective.latency_quantile * 100:g}"
        value = objective.latency_seconds if setting.key == promised else None
    else:
        for name in setting.field.split("."):
            value = getattr(value, name)
    return "not set" if value is None else f"`{_toml(setting.kind, value)}`"


def _toml(kind: Kind, value: Any) -> str:
    if kind in (settings.DURATION, settings.TIME_GIVEN):
        return json.dumps(_duration(value))
    if kind is settings.YEARLY:
        return json.dumps(_rate(value))
    if kind is settings.STEPS:
        return json.dumps([f"{step / 100:g}%" for step in value])
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _duration(seconds: float) -> str:
    sizes = sorted(settings.UNITS.items(), key=lambda unit: -unit[1])
    name, size = next((unit for unit in sizes if unit[0] != "w" and seconds >= unit[1]), sizes[-1])
    return f"{seconds / size:g}{name}"


def _rate(yearly: float) -> str:
    periods = settings.PERIODS.items()
    name, size = next((p for p in periods if (yearly / p[1]).is_integer()), ("year", 1.0))
    return f"{yearly / size:g} per {name}"


def schema() -> dict[str, object]:
    """The JSON Schema (draft 7) of `trimtab.toml`."""
    tables = {name: _schema_table(name, table) for name, table in settings.TABLES.items()}
    named = {
        name: {"type": "object", "additionalProperties": tables[name]}
        for name in ("deployment", "model")
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "trimtab.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": {"server": tables["server"], "telemetry": tables["telemetry"], **named},
    }


def _schema_table(name: str, table: Iterable[Setting]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for setting in table:
        outer, _, inner = setting.key.partition(".")
        described = {**_schema_kind(setting.kind), "description": setting.help}
        if inner:
            group = properties.setdefault(
                outer, {"type": "object", "additionalProperties": False, "properties": {}}
            )
            group["properties"][inner] = described
        else:
            properties[outer] = described
    required = [key for of, key in sorted(_REQUIRED) if of == name]
    made = {"type": "object", "additionalProperties": False, "properties": properties}
    return made | ({"required": required} if required else {})


def _schema_kind(kind: Kind) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string", "minLength": 1}
    if kind.pattern:
        text = {"type": "string", "pattern": f"^\\s*(?:{kind.pattern})\\s*$"}
    if kind.words:
        one = {"type": "string", "enum": list(kind.words)}
        return {"type": "array", "items": one} if kind.name.startswith("a list") else one
    widths = {
        "type": "object",
        "propertyNames": {"pattern": rf"^(?:{kind.pattern})$"},
        "additionalProperties": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
    }
    shapes: dict[str, dict[str, Any]] = {
        settings.DURATION.name: {"anyOf": [{"type": "number", "minimum": 0}, text]},
        settings.TIME_GIVEN.name: {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, text]},
        settings.STEPS.name: {"type": "array", "items": text, "minItems": 1},
        settings.TEXTS.name: {"type": "array", "items": {"type": "string"}},
        settings.COUNT.name: {"type": "integer", "minimum": 0},
        settings.POSITIVE.name: {"type": "integer", "minimum": 1},
        settings.RATIO.name: {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
        settings.SHARE.name: {"type": "number", "minimum": 0, "maximum": 1},
        settings.AUDITED.name: {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        settings.AMOUNT.name: {"type": "number", "exclusiveMinimum": 0},
        settings.TOLERANCES.name: widths,
        settings.LARGEST_GAPS.name: widths,
        settings.QUALITY.name: _quality_shape(),
        settings.COSTS.name: {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": {"type": "number", "minimum": 0},
            },
        },
        settings.PARAMS.name: {
            "type": "object",
            "additionalProperties": {"type": ["string", "number"]},
        },
    }
    return shapes.get(kind.name, text)


def _quality_shape() -> dict[str, Any]:
    metrics = list(settings.METRICS)
    several = {"type": "array", "items": {"type": "string", "enum": metrics}, "minItems": 1}
    return {"anyOf": [{"type": "string", "enum": ["auto", "none", *metrics]}, several]}


def read_meanings(path: Path) -> dict[str, Meaning]:
    """The meanings of all declared codes. Raises `ValueError` for a missing or an unknown one."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    told = {code: msgspec.convert(table, Meaning) for code, table in data.items()}
    declared = {entry.code for entry in errors.registry()}
    wrong = sorted(declared ^ told.keys())
    if wrong:
        raise ValueError(f"{MEANINGS} and trimtab.errors differ in {', '.join(wrong)}")
    return told


def errors_page(told: Mapping[str, Meaning]) -> str:
    """Every error code with what it means and what to do."""
    intro = (
        "An error says what failed, why, what stayed unchanged, and a hint. With `--json`, and "
        "from the admin API, it has the shape `error` of [cli-json](../cli-json.md). Endpoints "
        'of the inference listener answer `{"error": "text"}` as the Open Inference Protocol '
        "demands, with the HTTP status."
    )
    return _page("Errors", intro, *(_error_family(digit, told) for digit in _FAMILIES))


def _error_family(digit: str, told: Mapping[str, Meaning]) -> str:
    entries = [entry for entry in errors.registry() if entry.code.startswith(f"TT-{digit}")]
    parts = [
        f"### {entry.code}\n\n**{entry.title}.** {told[entry.code].means}\n\n"
        f"*What to do:* {told[entry.code].do}"
        for entry in entries
    ]
    return "\n\n".join([f"## {_FAMILIES[digit]}", *parts])


def metrics_page() -> str:
    """Every metric of the inference listener."""
    intro = (
        "`GET /metrics` on the inference listener, in the text format of Prometheus. Durations "
        "are in seconds. Whichever gateway is asked shows what all of them did, and what the "
        "agent has measured of the processes within the last seconds.\n\n"
        "A dashboard and alerts made from this list are in "
        "[`grafana/`](../../grafana/dashboard.json)."
    )
    rows = (
        (f"`{m.name}`", m.kind, ", ".join(f"`{name}`" for name in m.labels) or "–", m.help)
        for m in telemetry.METRICS
    )
    bounds = ", ".join(f"{bound:g}" for bound in telemetry.LATENCY_BUCKETS)
    return _page(
        "Metrics",
        intro,
        _table(("Name", "Kind", "Labels", "Meaning"), rows),
        f"Upper bounds of `{telemetry.DURATION.name}`, in seconds: {bounds}.",
        "## Alerts\n\n" + _table(("Alert", "Severity", "Fires when", "What to do"), _alert_rows()),
    )


def _alert_rows() -> Iterable[tuple[str, str, str, str]]:
    return ((a.name, a.severity, f"`{a.expression}` for {a.lasting}", a.do) for a in ALERTS)


def events_page() -> str:
    """Every kind of journal entry with its fields."""
    intro = (
        "The journal is the append-only history of a state folder: `trimtab history`, "
        "`GET /api/history`. Every entry has `seq`, `at` (when it was recorded, host clock), "
        "`epoch` (which controller wrote it), `actor` (a person, `controller`, or `trimtab.toml`), "
        "`deployment`, `release`, `reason` and `evidence` (the numbers the decision rests on), and "
        "`hash`: sha256 over the hash before it and the stored bytes of the entry. Folding all "
        "entries in order gives the state.\n\n"
        "The fields below are those of the event itself. Clocks are seconds on the deployment's "
        'clock: event time where `clock = "event"`.'
    )
    return _page("Journal events", intro, *map(_event, get_args(events.AnyEvent)))


def _event(kind: type[events.Event]) -> str:
    return _described(kind, f"`{kind.__struct_config__.tag}`")


def shapes_page() -> str:
    """Every shape of `--json` and the admin API with its fields."""
    intro = (
        "The shapes that `--json` and the admin API answer with; which command and path gives "
        "which is in [cli-json](../cli-json.md). Fields are added, never renamed or removed. "
        "`datetime` is RFC 3339 in UTC."
    )
    kinds = [
        kind
        for module in (shapes, demo_shapes, sent_shapes, sample_shapes, report_shapes)
        for kind in vars(module).values()
        if _is_shape(kind, module.__name__)
    ]
    return _page("Shapes", intro, *(_described(kind, kind.__name__) for kind in kinds))


def _is_shape(kind: object, module: str) -> bool:
    named = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    return named and getattr(kind, "__module__", "") == module


def _described(kind: type[msgspec.Struct], heading: str) -> str:
    """A section with the docstring and the fields of a struct."""
    hints = get_type_hints(kind)
    rows = [(f"`{name}`", _type(hints[name])) for name in kind.__struct_fields__]
    text = inspect.cleandoc(kind.__doc__ or "")
    return f"## {heading}\n\n{text}\n\n{_table(('Field', 'Type'), rows)}"


def _type(hint: Any) -> str:
    """A type as a reader of JSON would say it."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in parts)
    if origin is tuple:
        return f"list of {_type(parts[0])}"
    if origin is dict:
        return f"object of {_type(parts[1])}"
    if parts:
        return " or ".join(_type(part) for part in parts)
    plain = {"str": "text", "int": "integer", "float": "number", "NoneType": "null"}
    name = str(hint.__name__)
    return plain.get(name, name)


@dataclass(frozen=True, slots=True)
class Alert:
    """One Prometheus rule. `expression` may only name metrics of the registry."""

    name: str
    severity: str
    expression: str
    lasting: str
    do: str


_FAILED = 'code=~"5.."'
ALERTS = (
    Alert(
        "TrimtabDown",
        "page",
        'up{job="trimtab"} == 0',
        "1m",
        "No gateway answers: look at `trimtab status` and at `logs/gateway-0.log`.",
    ),
    Alert(
        "TrimtabRequestsFail",
        "page",
        f"sum by (deployment) (rate({telemetry.REQUESTS.name}{{{_FAILED}}}[5m])) "
        f"/ sum by (deployment) (rate({telemetry.REQUESTS.name}[5m])) > 0.01",
        "5m",
        "One request in a hundred fails: `trimtab why`. The control loop judges the same by "
        "evidence; this rule still holds when the controller is down.",
    ),
    Alert(
        "TrimtabNoWorkers",
        "page",
        f"{telemetry.WORKERS.name} == 0",
        "2m",
        "A resident release has no worker: `trimtab status`, and `logs/` of the state folder.",
    ),
    Alert(
        "TrimtabSheds",
        "ticket",
        f'sum by (deployment) (rate({telemetry.SHED.name}{{reason!="abandoned"}}[5m])) > 0',
        "5m",
        "Requests are refused for lack of room: raise `scale.min`, or spread the load.",
    ),
    Alert(
        "TrimtabLogLosesRows",
        "ticket",
        f"sum by (deployment) (increase({telemetry.LOG_DROPPED.name}[10m])) > 0",
        "1m",
        "The request log cannot be written: free space on the disk of the state folder.",
    ),
    Alert(
        "TrimtabJudgesLate",
        "ticket",
        f"{telemetry.LOG_BEHIND.name} > 30",
        "5m",
        "Requests are answered and judged late, so that a rollback would come late: `trimtab "
        "status` says whether ever later, or that no controller runs. Give it a core, or fewer "
        "workers.",
    ),
    Alert(
        "TrimtabWorkersRestart",
        "ticket",
        f"sum by (release) (increase({telemetry.WORKER_RESTARTS.name}[15m])) > 3",
        "1m",
        "Workers end again and again: `trimtab status` has the reason, `logs/worker-….log` what "
        "they wrote.",
    ),
    Alert(
        "TrimtabIncidentPages",
        "page",
        f'{telemetry.INCIDENTS.name}{{tier="page"}} > 0',
        "0m",
        "The control loop has found what a person should know of now: `trimtab why`.",
    ),
    Alert(
        "TrimtabIncidentOpen",
        "ticket",
        f'{telemetry.INCIDENTS.name}{{tier="ticket"}} > 0',
        "0m",
        "The control loop has found what somebody should look at: `trimtab why`.",
    ),
    Alert(
        "TrimtabNobodyJudges",
        "ticket",
        f"absent({telemetry.INCIDENTS.name}) and on () count({telemetry.RELEASE_INFO.name}) > 0",
        "5m",
        "Requests are answered and no controller runs: nothing is judged, rolled back or scaled. "
        "Look at `logs/controller.log`.",
    ),
    Alert(
        "TrimtabDiskFills",
        "ticket",
        f"{telemetry.DISK_FREE.name} < 2e9",
        "10m",
        "Less than 2 GB are left for the state folder: lower `server.retention_days`, or see in "
        "operations what may be deleted.",
    ),
    Alert(
        "TrimtabLogUnreadable",
        "ticket",
        f"{telemetry.LOG_UNREADABLE.name} > 0",
        "1m",
        "A spool of the request log is damaged: look at `spool/*.unreadable` of the state folder, "
        "and at its disk.",
    ),
)


def alerts_file() -> str:
    """The alerts as a Prometheus rule file. A JSON text is a YAML text in double quotes."""
    lines = ["# Written by `python -m trimtab.docs`.", "groups:", "  - name: trimtab", "    rules:"]
    for alert in ALERTS:
        lines += [
            f"      - alert: {alert.name}",
            f"        expr: {json.dumps(alert.expression)}",
            f"        for: {alert.lasting}",
            "        labels:",
            f"          severity: {alert.severity}",
            "        annotations:",
            f"          summary: {json.dumps(alert.do, ensure_ascii=False)}",
        ]
    return "\n".join(lines) + "\n"


def dashboard() -> dict[str, object]:
    """A Grafana dashboard with one panel for each metric."""
    panels = [_panel(number, metric) for number, metric in enumerate(telemetry.METRICS)]
    source = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Source"}
    deployment = {
        "name": "deployment",
        "type": "query",
        "label": "Deployment",
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "query": f"label_values({telemetry.RELEASE_INFO.name}, deployment)",
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "refresh": 2,
    }
    return {
        "uid": "trimtab",
        "title": "trimtab",
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source, deployment]},
        "panels": panels,
    }


def _panel(number: int, metric: Metric) -> dict[str, object]:
    targets = [
        {"refId": letter, "expr": query, "legendFormat": legend}
        for letter, (query, legend) in zip("ABCD", queries(metric), strict=False)
    ]
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": metric.name.removeprefix("trimtab_").replace("_", " "),
        "description": metric.help,
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "fieldConfig": {"defaults": {"unit": _unit(metric)}, "overrides": []},
        "gridPos": {"h": 8, "w": 12, "x": 12 * (number % 2), "y": 8 * (number // 2)},
        "targets": targets,
    }


def _unit(metric: Metric) -> str:
    if metric.name.endswith("_bytes"):
        return "bytes"
    if metric.name.endswith("_ratio"):
        return "percentunit"
    if metric is telemetry.WORKER_STARTED:
        return "s"
    if metric.name.endswith("_seconds"):
        return "s"
    return "cps" if metric.kind == "counter" else "short"


def queries(metric: Metric) -> list[tuple[str, str]]:
    """PromQL of a metric with the legend of its series."""
    chosen = '{deployment=~"$deployment"}' if "deployment" in metric.labels else ""
    labels = ", ".join(metric.labels)
    legend = " ".join(f"{{{{{name}}}}}" for name in metric.labels)
    if metric.kind == "histogram":
        rate = f"sum by (le, {labels}) (rate({metric.name}_bucket{chosen}[$__rate_interval]))"
        return [(f"histogram_quantile({q}, {rate})", f"p{q * 100:g} {legend}") for q in (0.5, 0.99)]
    name = f"rate({metric.name}{chosen}[$__rate_interval])" if metric.kind == "counter" else ""
    series = name or f"{metric.name}{chosen}"
    return [(f"sum by ({labels}) ({series})" if labels else f"max({series})", legend)]


def stale(root: Path) -> list[str]:
    """Generated files that are missing or not what `generate` gives."""
    found = []
    for name, text in generate(root).items():
        path = root / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            found.append(name)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with `--check` say which are out of date; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m trimtab.docs")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when stale")
    given = parser.parse_args(arguments)
    root = Path.cwd()
    old = stale(root)
    for name in old:
        if given.check:
            print(f"{name} is out of date: run python -m trimtab.docs", file=sys.stderr)
            continue
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(generate(root)[name], encoding="utf-8")
        print(name)
    return int(given.check and bool(old))


if __name__ == "__main__":
    sys.exit(main())
