"""`trimtab.toml` as checked data: unknown keys and wrong values are errors, never ignored."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from trimtab import errors
from trimtab.domain.deployment import (
    DeploymentSpec,
    PipelineSpec,
    ProjectConfig,
    ServerSpec,
    misread,
    unfounded,
)
from trimtab.domain.names import checked_name, meant
from trimtab.domain.otel import (
    Export,
    TelemetrySpec,
    Wrong,
    export_of,
    exporting,
    standard_settings,
)
from trimtab.domain.settings import DEPLOYMENT, LOSS, MODEL, SERVER, TABLES, TELEMETRY, Setting

_OPERATION = "read trimtab.toml"


def parse_config(data: Mapping[str, Any], environment: Mapping[str, str]) -> ProjectConfig:
    """Check a decoded `trimtab.toml`, overlaid by `TRIMTAB_SERVER_*` and `TRIMTAB_TELEMETRY_*`.

    The standard variables of OpenTelemetry lie between the file and the latter.

    Raises `Usage`: TT-101 for an unknown key, TT-102 for a wrong value, TT-104 for a bad name.
    """
    for table in data:
        if table not in TABLES:
            raise _unknown(table, table, TABLES)
    server = {**_table(data, "server", "server"), **_overrides("server", environment)}
    return ProjectConfig(
        msgspec.convert(_values("server", server, SERVER), ServerSpec),
        _telemetry(_table(data, "telemetry", "telemetry"), environment),
        tuple(_deployment(name, table) for name, table in _named(data, "deployment")),
        tuple(_pipeline(name, table) for name, table in _named(data, "model")),
    )


def _overrides(table: str, environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for setting in TABLES[table]:
        value = environment.get(f"TRIMTAB_{table.upper()}_{setting.key.upper()}")
        if value is not None:
            found[setting.key] = _written(setting, value)
    return found


def _written(setting: Setting, value: str) -> Any:
    """What the text of a variable would be in the file."""
    if setting.kind.words:
        return [word.strip() for word in value.split(",")]
    try:
        return int(value) if value.isdigit() else float(value)
    except ValueError:
        return value


def _telemetry(table: Mapping[str, Any], environment: Mapping[str, str]) -> Export:
    given = _overrides("telemetry", environment)
    spec = _telemetry_spec({**table, **given})
    if not exporting(spec, environment):
        return Export()
    try:
        spec = _telemetry_spec({**table, **standard_settings(environment), **given})
        return export_of(spec, environment)
    except Wrong as wrong:
        raise _wrong(wrong.name, str(wrong), "export TRIMTAB_TELEMETRY_ENDPOINT=off") from None


def _telemetry_spec(table: Mapping[str, Any]) -> TelemetrySpec:
    return msgspec.convert(_values("telemetry", table, TELEMETRY), TelemetrySpec)


def _deployment(name: str, table: Mapping[str, Any]) -> DeploymentSpec:
    values = _values(f"deployment.{name}", table, DEPLOYMENT)
    objective = values.get("objective", {})
    for key in [key for key in objective if key.startswith("latency_p")]:
        objective["latency_quantile"] = float(key.removeprefix("latency_p")) / 100
        objective["latency_seconds"] = objective.pop(key)
    named = {"name": checked_name(name, "deployment"), "model": name}
    spec = msgspec.convert({**named, **values}, DeploymentSpec)
    _check_loss(f"deployment.{name}.monitor.loss", spec.monitor.loss)
    unfit = unfounded(spec.monitor)
    if unfit:
        hint = 'for example: quality = ["cost", "recall"], costs = { yes = { no = 1 } }'
        if "loss" in unfit:
            hint = f'for example: quality = ["loss", "error"], loss = {LOSS.example}'
        raise _wrong(f"deployment.{name}.monitor.quality", unfit, hint)
    return spec


def _check_loss(path: str, loss: str | None) -> None:
    problem = misread(loss)
    if problem:
        raise _wrong(path, problem, f"for example: loss = {LOSS.example}")


def _pipeline(name: str, table: Mapping[str, Any]) -> PipelineSpec:
    path = f"model.{name}"
    values = _values(path, table, MODEL)
    for key, field in (("pipeline", "module"), ("steps", "steps"), ("requirements",) * 2):
        if field not in values:
            raise _wrong(f"{path}.{key}", "it is required", f"add {key} to [{path}]")
    spec = msgspec.convert({"model": checked_name(name, "model"), **values}, PipelineSpec)
    _check_loss(f"{path}.loss", spec.loss)
    return spec


def _values(path: str, table: Mapping[str, Any], settings: tuple[Setting, ...]) -> dict[str, Any]:
    """Parsed values, nested as the struct of the table is."""
    known = {setting.key: setting for setting in settings}
    result: dict[str, Any] = {}
    for key, value in _flat(table, known):
        setting = known.get(key)
        if setting is None:
            raise _untabled(path, key, settings) or _unknown(f"{path}.{key}", key, known)
        outer, _, inner = setting.field.partition(".")
        target = result.setdefault(outer, {}) if inner else result
        target[inner or outer] = _parsed(f"{path}.{key}", setting, value)
    return result


def _parsed(path: str, setting: Setting, value: Any) -> Any:
    try:
        return setting.kind.parse(value)
    except ValueError:
        problem = f"{value!r} is not {setting.kind.name}"
        key = setting.key.rpartition(".")[2]
        raise _wrong(path, problem, f"for example: {key} = {setting.kind.example}") from None


def _flat(table: Mapping[str, Any], known: Mapping[str, Setting]) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and key not in known:
            yield from ((f"{key}.{inner}", item) for inner, item in value.items())
        else:
            yield key, value


def _table(data: Mapping[str, Any], name: str, header: str, path: str = "") -> Mapping[str, Any]:
    """A table of the file; `header` is how its first line should read, `path` where it is."""
    table = data.get(name, {})
    if not isinstance(table, dict):
        hint = f"write [{header}] on a line of its own"
        raise _wrong(path or name, "it must be a table", hint)
    return table


def _named(data: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    header = f"{kind}.NAME"
    tables = _table(data, kind, header)
    for name in tables:
        yield name, _table(tables, name, header, f"{kind}.{name}")


def _untabled(path: str, key: str, settings: tuple[Setting, ...]) -> errors.Usage | None:
    """The error for one value where settings are grouped in a table: `slo = "50ms"`."""
    for setting in settings:
        group, _, inner = setting.key.partition(".")
        if inner and group == key:
            hint = f"for example: {group} = {{ {inner} = {setting.kind.example} }}"
            return _wrong(f"{path}.{key}", "it must be a table", hint)
    return None


def _unknown(path: str, key: str, known: Mapping[str, Any]) -> errors.Usage:
    outer, dot, _ = key.partition(".")
    outers = {name.partition(".")[0] for name in known}
    typed, words = (outer, sorted(outers)) if dot and outer not in outers else (key, list(known))
    return errors.Usage(
        errors.UNKNOWN_KEY,
        _OPERATION,
        path,
        "unknown key",
        unchanged="no setting was changed",
        hint=meant(typed, words, "keys"),
    )


def _wrong(path: str, problem: str, hint: str) -> errors.Usage:
    return errors.Usage(errors.BAD_VALUE, _OPERATION, path, problem, "no setting was changed", hint)
