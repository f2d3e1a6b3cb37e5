"""Where spans and metrics are sent: the table `[telemetry]` and the standard variables `OTEL_*`.

Source: the OpenTelemetry specification, "OpenTelemetry Environment Variable Specification" and
"OpenTelemetry Protocol Exporter". A variable goes before the file, and `TRIMTAB_TELEMETRY_*` before
both. Nothing is sent, and no variable is looked at, unless some endpoint is named.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

SIGNALS = ("traces", "metrics")
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOL = "http/protobuf"
TIMEOUT_SECONDS = 10.0
_RATIOS = {
    "always_on": 1.0,
    "always_off": 0.0,
    "traceidratio": None,
    "parentbased_always_on": 1.0,
    "parentbased_always_off": 0.0,
    "parentbased_traceidratio": None,
}
"""Samplers, with the share that they take of the traces that begin here; None: it is given."""


class Wrong(ValueError):
    """A variable has a value that cannot be followed: its `name`, and in the text why."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(problem)
        self.name = name


class TelemetrySpec(msgspec.Struct, frozen=True):
    """The `[telemetry]` table: what is sent by OTLP. `endpoint` is None, a URL, or `off`.

    `sample` is the share of the traces that begin here; those of clients are their decision."""

    endpoint: str | None = None
    service: str = "trimtab"
    signals: tuple[str, ...] = ("traces", "metrics")
    sample: float = 1.0
    metrics_seconds: float = 60.0


class Destination(msgspec.Struct, frozen=True):
    """Where one signal is posted. `certificate` is a file of trusted roots, "" for the system's."""

    url: str
    headers: dict[str, str] = {}
    timeout_seconds: float = TIMEOUT_SECONDS
    compressed: bool = False
    certificate: str = ""


class Export(msgspec.Struct, frozen=True):
    """What is sent where; a signal without a destination is not sent.

    Of the traces that begin here, or of all unless `parent_based`, `ratio` is sampled; attributes
    are those of the resource, that is of this service.
    """

    traces: Destination | None = None
    metrics: Destination | None = None
    attributes: dict[str, str] = {}
    ratio: float = 1.0
    parent_based: bool = True
    metrics_seconds: float = 60.0


def standard_settings(environment: Mapping[str, str]) -> dict[str, Any]:
    """What the variables say of keys of `[telemetry]`. Raises `Wrong`."""
    said: dict[str, Any] = {}
    if endpoint := environment.get(ENDPOINT):
        said["endpoint"] = endpoint
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        said["endpoint"] = "off"
    attributes = _pairs("OTEL_RESOURCE_ATTRIBUTES", environment)
    if service := environment.get("OTEL_SERVICE_NAME") or attributes.get("service.name"):
        said["service"] = service
    if environment.get("OTEL_TRACES_SAMPLER"):
        said["sample"] = _ratio(environment)
    if interval := _milliseconds("OTEL_METRIC_EXPORT_INTERVAL", environment):
        said["metrics_every"] = interval
    return said


def export_of(spec: TelemetrySpec, environment: Mapping[str, str]) -> Export:
    """What is sent where, by the checked table and the variables. Raises `Wrong`."""
    traces, metrics = (
        _destination(signal, spec, environment) if signal in spec.signals else None
        for signal in SIGNALS
    )
    if traces is None and metrics is None:
        return Export()
    attributes = _pairs("OTEL_RESOURCE_ATTRIBUTES", environment)
    return Export(
        traces,
        metrics,
        {**attributes, "service.name": spec.service},
        spec.sample,
        _parent_based(environment),
        spec.metrics_seconds,
    )


def exporting(spec: TelemetrySpec, environment: Mapping[str, str]) -> bool:
    """Whether the table (with `TRIMTAB_TELEMETRY_*`) or a variable names an endpoint."""
    variables = (ENDPOINT, *(_variable(signal, "ENDPOINT") for signal in SIGNALS))
    return spec.endpoint != "off" and any((spec.endpoint, *map(environment.get, variables)))


def _destination(
    signal: str, spec: TelemetrySpec, environment: Mapping[str, str]
) -> Destination | None:
    exporter = environment.get(f"OTEL_{signal.upper()}_EXPORTER") or "otlp"
    if exporter not in ("otlp", "none"):
        raise Wrong(f"OTEL_{signal.upper()}_EXPORTER", f"{exporter!r} is not otlp or none")
    url = _url(signal, spec, environment)
    if exporter == "none" or url is None:
        return None

    def given(name: str) -> str:
        """The variable that holds a setting for this signal, or for all."""
        own = _variable(signal, name)
        return own if environment.get(own) else f"OTEL_EXPORTER_OTLP_{name}"

    protocol = environment.get(given("PROTOCOL")) or PROTOCOL
    if protocol != PROTOCOL:
        raise Wrong(given("PROTOCOL"), f"{protocol!r} is not {PROTOCOL}")
    return Destination(
        url,
        _pairs(given("HEADERS"), environment),
        _milliseconds(given("TIMEOUT"), environment) or TIMEOUT_SECONDS,
        _compressed(given("COMPRESSION"), environment),
        environment.get(given("CERTIFICATE"), ""),
    )


def _url(signal: str, spec: TelemetrySpec, environment: Mapping[str, str]) -> str | None:
    """The endpoint of a signal as it is, or that of all with the signal's path behind it."""
    own = _variable(signal, "ENDPOINT")
    url = environment.get(own) or ""
    if spec.endpoint == "off" or not (url or spec.endpoint):
        return None
    if not url:
        return f"{str(spec.endpoint).rstrip('/')}/v1/{signal}"
    if not is_url(url):
        raise Wrong(own, f"{url!r} is not a URL of http or https")
    return url


def is_url(value: str) -> bool:
    """Whether something can be posted there."""
    try:
        parts = urlsplit(value)
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return named and value.isascii() and value.isprintable() and " " not in value


def _variable(signal: str, name: str) -> str:
    return f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}"


def _pairs(name: str, environment: Mapping[str, str]) -> dict[str, str]:
    """`key=value,…` with percent-encoded values."""
    found: dict[str, str] = {}
    for pair in (environment.get(name) or "").split(","):
        key, between, value = (part.strip() for part in pair.partition("="))
        text = unquote(value)
        if not (pair.strip() or between):
            continue
        if not (key and between and f"{key}{text}".isprintable()):
            raise Wrong(name, "it is not a list of key=value")
        found[key] = text
    return found


def _milliseconds(name: str, environment: Mapping[str, str]) -> float | None:
    value = environment.get(name)
    if not value:
        return None
    if not value.isdecimal() or not int(value):
        raise Wrong(name, f"{value!r} is not a number of milliseconds")
    return int(value) / 1000


def _compressed(name: str, environment: Mapping[str, str]) -> bool:
    value = environment.get(name) or "none"
    if value not in ("gzip", "none"):
        raise Wrong(name, f"{value!r} is not gzip or none")
    return value == "gzip"


def _sampler(environment: Mapping[str, str]) -> str:
    name = "OTEL_TRACES_SAMPLER"
    value = environment.get(name) or "parentbased_always_on"
    if value not in _RATIOS:
        raise Wrong(name, f"{value!r} is not one of {', '.join(_RATIOS)}")
    return value


def _parent_based(environment: Mapping[str, str]) -> bool:
    return _sampler(environment).startswith("parentbased_")


def _ratio(environment: Mapping[str, str]) -> float:
    fixed = _RATIOS[_sampler(environment)]
    if fixed is not None:
        return fixed
    name = "OTEL_TRACES_SAMPLER_ARG"
    value = environment.get(name) or "1.0"
    try:
        ratio = float(value)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise Wrong(name, f"{value!r} is not a number from 0 to 1")
    return ratio
