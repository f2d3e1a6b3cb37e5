"""The registry of settings: every key of `trimtab.toml`, declared once.

The parser, the error messages, the generated reference page and the environment variables all
come from the tables below.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, get_args

from trimtab.domain.otel import is_url
from trimtab.domain.profile import Measure, Metric

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
PERIODS = {
    "hour": 8766.0,
    "day": 365.25,
    "week": 52.1775,
    "month": 12.0,
    "quarter": 4.0,
    "year": 1.0,
}
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
TIMES = {"once": 1.0, "twice": 2.0} | {word: float(n) for n, word in enumerate(NUMBERS, start=1)}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_RATE = re.compile(
    rf"(\d+(?:\.\d+)?|{'|'.join(TIMES)})\s*(?:per|an?|each|every)\s*({'|'.join(PERIODS)})"
)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?)?B")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
GAPS: tuple[str, ...] = get_args(Measure)
_TOLERATED = re.compile(
    r"errors|latency|prediction|positive_rate|calibration|segments|quality:.+|(input|multivariate):.+|"
    rf"parity(:.+)?|bias:(?:{'|'.join(GAPS)})"
)
_LOSSES = re.compile(r"segments|quality:.+")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\s]+):(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: its name in messages, an example, and the parser (raises ValueError).

    `words` are all values of a choice, `pattern` what a text of the kind looks like: editors
    check by them what the parser checks in the end."""

    name: str
    example: str
    parse: Callable[[Any], Any]
    words: tuple[str, ...] = ()
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a table. `field` is where the value goes in the table's struct."""

    key: str
    field: str
    kind: Kind
    help: str


def _expect(condition: bool) -> None:
    if not condition:
        raise ValueError


def _matched(pattern: re.Pattern[str], value: Any) -> re.Match[str]:
    match = pattern.fullmatch(str(value).strip())
    if match is None:
        raise ValueError
    return match


def _duration(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        _expect(value >= 0)
        return float(value)
    match = _matched(_DURATION, value)
    return float(match[1]) * UNITS[match[2]]


def _time_given(value: Any) -> float:
    seconds = _duration(value)
    _expect(seconds > 0)
    return seconds


def _size(value: Any) -> int:
    match = _matched(_SIZE, value)
    unit = match[2] or ""
    power = "KMGT".find(unit[0]) + 1 if unit else 0
    size = int(float(match[1]) * (1024 if unit.endswith("i") else 1000) ** power)
    _expect(size > 0)
    return size


def _above_zero(value: Any) -> float:
    _expect(isinstance(value, int | float) and not isinstance(value, bool) and value > 0)
    return float(value)


def _yearly(value: Any) -> float:
    match = _matched(_RATE, value)
    rate = TIMES.get(match[1]) or float(match[1])
    _expect(rate > 0)
    return rate * PERIODS[match[2]]


def _share(value: Any) -> int:
    match = _matched(_PERCENT, value)
    parts = round(float(match[1]) * 100)
    _expect(0 < parts <= 10_000)
    return parts


def _steps(value: Any) -> tuple[int, ...]:
    _expect(isinstance(value, list) and len(value) > 0)
    steps = tuple(_share(step) for step in value)
    _expect(all(low < high for low, high in pairwise(steps)))
    return steps


def _text(value: Any) -> str:
    _expect(isinstance(value, str) and value != "")
    return str(value)


def _texts(value: Any) -> tuple[str, ...]:
    _expect(isinstance(value, list) and all(isinstance(item, str) for item in value))
    return tuple(value)


def _count(value: Any) -> int:
    _expect(isinstance(value, int) and not isinstance(value, bool) and value >= 0)
    return int(value)


def _positive(value: Any) -> int:
    _expect(_count(value) >= 1)
    return int(value)


def _ratio(value: Any) -> float:
    _expect(isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1)
    return float(value)


def _width(value: Any) -> float:
    _expect(isinstance(value, int | float) and not isinstance(value, bool))
    _expect(math.isfinite(value) and value >= 0)
    return float(value)


def _tolerances(value: Any) -> dict[str, float]:
    """Widths by signal. A loss has a unit of its own; all others are shares."""
    _expect(isinstance(value, dict))
    named = {_matched(_TOLERATED, signal)[0]: width for signal, width in value.items()}
    return {signal: _tolerated(signal, width) for signal, width in named.items()}


def _tolerated(signal: str, width: Any) -> float:
    return _width(width) if _LOSSES.fullmatch(signal) else _ratio(width)


METRICS: tuple[str, ...] = get_args(Metric)


def _quality(value: Any) -> Any:
    """One word, or several metrics; a list of one is that one."""
    words = [value] if isinstance(value, str) else list(value)
    _expect(bool(words) and all(isinstance(word, str) for word in words))
    named = tuple(dict.fromkeys(words))
    if len(named) == 1:
        _expect(named[0] in ("auto", "none", *METRICS))
        return named[0]
    _expect(all(word in METRICS for word in named))
    return named


def _costs(value: Any) -> dict[str, dict[str, float]]:
    """What a decision costs by the truth; one of them costs something, if any is named."""
    _expect(isinstance(value, dict) and all(isinstance(row, dict) for row in value.values()))
    costs = {
        str(decision): {str(truth): _cost(cost) for truth, cost in row.items()}
        for decision, row in value.items()
    }
    _expect(not costs or any(cost > 0.0 for row in costs.values() for cost in row.values()))
    return costs


def _cost(value: Any) -> float:
    _expect(isinstance(value, int | float) and not isinstance(value, bool))
    _expect(0.0 <= value < math.inf)
    return float(value)


def _gaps(value: Any) -> dict[str, float]:
    _expect(isinstance(value, dict) and all(measure in GAPS for measure in value))
    return {str(measure): _ratio(width) for measure, width in value.items()}


def _address(value: Any) -> str:
    match = _matched(_ADDRESS, value)
    _expect(int(match[2]) < 65_536)
    return match[0]


def _address_or_off(value: Any) -> str | None:
    return None if value == "off" else _address(value)


def _url_or_off(value: Any) -> str:
    _expect(value == "off" or (isinstance(value, str) and is_url(value)))
    return str(value)


def _whole_ratio(value: Any) -> float:
    _expect(isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1)
    return float(value)


def _audited(value: Any) -> float:
    _expect(_whole_ratio(value) > 0.0)
    return float(value)


def _params(value: Any) -> dict[str, str]:
    _expect(isinstance(value, dict))
    _expect(all(isinstance(item, str | int | float) for item in value.values()))
    return {str(key): str(item) for key, item in value.items()}


def choice(*words: str) -> Kind:
    """A kind that is one of `words`."""

    def parse(value: Any) -> str:
        _expect(value in words)
        return str(value)

    return Kind(f"one of {', '.join(words)}", f'"{words[0]}"', parse, words)


def choices(*words: str) -> Kind:
    """A kind that is a list of some of `words`."""

    def parse(value: Any) -> tuple[str, ...]:
        _expect(all(word in words for word in _texts(value)))
        return _texts(value)

    return Kind(f"a list of {', '.join(words)}", f'["{words[0]}"]', parse, words)


DURATION = Kind("a duration", '"90s"', _duration, pattern=_DURATION.pattern)
TIME_GIVEN = Kind("a duration above 0", '"30s"', _time_given, pattern=_DURATION.pattern)
YEARLY = Kind("a rate", '"1 per month"', _yearly, pattern=_RATE.pattern)
SIZE = Kind("a size", '"2 GiB"', _size, pattern=_SIZE.pattern)
AMOUNT = Kind("a number above 0", "1.5", _above_zero)
STEPS = Kind(
    "rising shares of the traffic", '["1%", "10%", "50%"]', _steps, pattern=_PERCENT.pattern
)
TEXT = Kind("a text", '"name"', _text)
LOSS = Kind("a formula", '"where(label > prediction, 3, 1) * abs(label - prediction) / 60"', _text)
TEXTS = Kind("a list of texts", '["name"]', _texts)
COUNT = Kind("a whole number", "1", _count)
POSITIVE = Kind("a whole number above 0", "1", _positive)
RATIO = Kind("a number from 0 to below 1", "0.999", _ratio)
ADDRESS = Kind("host:port", '"127.0.0.1:8080"', _address, pattern=_ADDRESS.pattern)
ADDRESS_OR_OFF = Kind(
    'host:port or "off"',
    '"127.0.0.1:8081"',
    _address_or_off,
    pattern=rf"{_ADDRESS.pattern}|off",
)
WIDTH = Kind("a number from 0", "0.02", _width)
TOLERANCES = Kind(
    "a table of signals and numbers from 0, of shares below 1",
    '{ errors = 0.01, "input:temp" = 0.1 }',
    _tolerances,
    pattern=_TOLERATED.pattern,
)
QUALITY = Kind(
    f"auto, none, or one or more of {', '.join(METRICS)}",
    '["roc_auc", "recall"]',
    _quality,
)
COSTS = Kind(
    "a table of decisions, each with a table of truths and costs from 0",
    "{ yes = { no = 1 }, no = { yes = 20 } }",
    _costs,
)
AUDITED = Kind("a number above 0 up to 1", "0.01", _audited)
LARGEST_GAPS = Kind(
    f"a table of some of {', '.join(GAPS)} and numbers from 0 to below 1",
    "{ selection = 0.1 }",
    _gaps,
    pattern="|".join(GAPS),
)
SHARE = Kind("a number from 0 to 1", "0.1", _whole_ratio)
URL_OR_OFF = Kind(
    'a URL or "off"', '"http://127.0.0.1:4318"', _url_or_off, pattern=r"https?://\S+|off"
)
PARAMS = Kind("a table of texts and numbers", '{ depth = "6" }', _params)

SERVER: tuple[Setting, ...] = (
    Setting("inference", "inference", ADDRESS, "Where clients call the models."),
    Setting("grpc", "grpc", ADDRESS_OR_OFF, "Where clients call the models by gRPC."),
    Setting("admin", "admin", ADDRESS, "Where the dashboard and the admin API listen."),
    Setting("gateways", "gateways", POSITIVE, "Gateway processes on the inference sockets."),
    Setting("flush", "flush_seconds", DURATION, "Longest time a row waits for its segment."),
    Setting("retention_days", "retention_days", POSITIVE, "Days the request log is kept."),
)

TELEMETRY: tuple[Setting, ...] = (
    Setting("endpoint", "endpoint", URL_OR_OFF, "Where spans and metrics are sent by OTLP/HTTP."),
    Setting("service", "service", TEXT, "`service.name` of what is sent."),
    Setting("signals", "signals", choices("traces", "metrics"), "What is sent."),
    Setting("sample", "sample", SHARE, "Share sampled of the traces that begin here."),
    Setting("metrics_every", "metrics_seconds", DURATION, "Time between two sets of metrics."),
)

DEPLOYMENT: tuple[Setting, ...] = (
    Setting("model", "model", TEXT, "The model whose releases may serve here."),
    Setting("clock", "clock", choice("wall", "event"), "Clock of rollouts and monitors."),
    Setting("slo.latency_p50", "objective.latency_p50", DURATION, "Promised median latency."),
    Setting("slo.latency_p90", "objective.latency_p90", DURATION, "Promised p90 latency."),
    Setting("slo.latency_p95", "objective.latency_p95", DURATION, "Promised p95 latency."),
    Setting("slo.latency_p99", "objective.latency_p99", DURATION, "Promised p99 latency."),
    Setting("slo.availability", "objective.availability", RATIO, "Promised share of answers."),
    Setting("slo.deadline", "objective.deadline_seconds", TIME_GIVEN, "Longest time of a request."),
    Setting(
        "rollout.strategy",
        "rollout.strategy",
        choice("canary", "steps", "shadow", "now"),
        "How a candidate takes over.",
    ),
    Setting("rollout.steps", "rollout.steps", STEPS, "The candidate's shares, one after another."),
    Setting("rollout.step", "rollout.step_seconds", DURATION, "Least time at each step."),
    Setting("rollout.shadow", "rollout.shadow_seconds", DURATION, "Least time in shadow."),
    Setting("rollout.shadow_rows", "rollout.shadow_rows", COUNT, "Least pairs in shadow."),
    Setting("rollout.bake", "rollout.bake_seconds", DURATION, "Time the old release stays warm."),
    Setting("rollout.max_hold", "rollout.max_hold_seconds", DURATION, "Hold before a ticket."),
    Setting("rollout.alpha", "rollout.alpha", RATIO, "Chance of a false rollback, per rollout."),
    Setting("rollout.beta", "rollout.beta", RATIO, "Chance of passing a worse one, per step."),
    Setting("rollout.margin", "rollout.quality_margin", RATIO, "Loss a candidate may be worse by."),
    Setting("scale.min", "scale.min", POSITIVE, "Least workers of the serving release."),
    Setting("scale.max", "scale.max", POSITIVE, "Most workers of the serving release."),
    Setting(
        "scale.batch",
        "scale.batch",
        COUNT,
        "Workers beside these for the batch lane alone, at lower priority; see operations.",
    ),
    Setting("scale.idle", "scale.idle", choice("keep", "zero"), "Workers without traffic."),
    Setting("scale.idle_after", "scale.idle_after_seconds", DURATION, "Time without traffic."),
    Setting(
        "scale.patience",
        "scale.patience_seconds",
        DURATION,
        "How long fewer workers must have been enough before some go; at most an hour counts.",
    ),
    Setting("limits.memory", "limits.memory_bytes", SIZE, "Memory of a worker; see operations."),
    Setting("limits.cpus", "limits.cpus", AMOUNT, "Processors of a worker, rounded up."),
    Setting("limits.processes", "limits.processes", POSITIVE, "Processes of a worker, with it."),
    Setting("limits.gpus", "limits.gpus", TEXTS, "GPUs by number or UUID, one for each worker."),
    Setting(
        "monitor.false_alarms",
        "monitor.false_alarms_per_year",
        YEARLY,
        "Tolerated false pages of the whole deployment.",
    ),
    Setting(
        "monitor.block",
        "monitor.block_seconds",
        TIME_GIVEN,
        "Length of an evidence block. Where the reference shows how days differ, blocks of inputs "
        "and quality are a day at least.",
    ),
    Setting("monitor.maturity", "monitor.maturity_seconds", DURATION, "How long labels may take."),
    Setting("monitor.segments", "monitor.segments", TEXTS, "Columns to watch group by group."),
    Setting(
        "monitor.quality",
        "monitor.quality",
        QUALITY,
        "The quality that is promised: one metric or several, the one that stands for all first.",
    ),
    Setting(
        "monitor.costs",
        "monitor.costs",
        COSTS,
        "What a decision costs by the truth, for the metric `cost`; what is not named costs 0.",
    ),
    Setting(
        "monitor.loss",
        "monitor.loss",
        LOSS,
        "A loss of your own, for the metric `loss`; the release must be built with it.",
    ),
    Setting(
        "monitor.loss_bound",
        "monitor.loss_bound",
        AMOUNT,
        "The largest loss: what is above counts as it, what is below 0 as 0.",
    ),
    Setting(
        "monitor.tolerance",
        "monitor.quality_tolerance",
        WIDTH,
        "Harm-free zone of the quality, in the unit of the metric; learned from the reference when "
        "absent.",
    ),
    Setting(
        "monitor.input_tolerance",
        "monitor.input_tolerance",
        RATIO,
        "Harm-free zone of an input's distribution, in CDF distance.",
    ),
    Setting(
        "monitor.tolerances",
        "monitor.tolerances",
        TOLERANCES,
        "Harm-free zones of single signals, such as errors or input:NAME.",
    ),
    Setting("monitor.groups", "monitor.groups", TEXTS, "Protected columns: bias between groups."),
    Setting(
        "monitor.bias",
        "monitor.bias",
        LARGEST_GAPS,
        "Gaps between groups that are harmless, in place of those of the reference.",
    ),
    Setting(
        "monitor.audit",
        "monitor.audit",
        AUDITED,
        "Share of predictions, chosen by a hash, whose labels are asked for.",
    ),
    Setting(
        "monitor.key", "monitor.key", TEXT, "Column that labels and told values may be keyed by."
    ),
    Setting("retrain.when", "retrain.when", choices("quality", "drift"), "What starts a retrain."),
    Setting(
        "retrain.approve",
        "retrain.approve",
        choice("auto", "human"),
        "Who lets a retrained release roll out.",
    ),
    Setting("retrain.cooldown", "retrain.cooldown_seconds", DURATION, "Least time between runs."),
)

MODEL: tuple[Setting, ...] = (
    Setting("pipeline", "module", TEXT, "Python file that holds the pipeline's steps."),
    Setting("steps", "steps", TEXTS, "Functions of the pipeline, in order."),
    Setting("requirements", "requirements", TEXT, "Requirements of the model's environment."),
    Setting("source", "source", TEXT, "Parquet or CSV file of past data."),
    Setting("features", "features", TEXT, "Feature code, module:function."),
    Setting(
        "format",
        "format",
        choice("skops", "onnx", "xgboost", "lightgbm", "python", "joblib", "pickle"),
        "Format of the model file.",
    ),
    Setting("model_file", "model_file", TEXT, "The model in the last step's output."),
    Setting("target", "target", TEXT, "Column of the reference that holds the label."),
    Setting("positive", "positive", TEXT, "The label that counts as positive."),
    Setting("time", "time", TEXT, "Column of the reference that holds the event time."),
    Setting("key", "key", TEXT, "Column of the reference that names the row."),
    Setting("segments", "segments", TEXTS, "Columns to profile group by group."),
    Setting("groups", "groups", TEXTS, "Protected columns to profile, alone and two at once."),
    Setting("loss", "loss", LOSS, "A loss of your own, to be known of the reference."),
    Setting("loss_bound", "loss_bound", AMOUNT, "The largest loss."),
    Setting("trust", "trust", choice("none", "code"), "`code` allows formats that run code."),
    Setting(
        "engine",
        "engine",
        choice("auto", "native"),
        "`auto` serves a faster engine where it is proven equal; `native` never does.",
    ),
    Setting("params", "params", PARAMS, "Parameters given to every step."),
    Setting("config", "config", PARAMS, "Settings given to the worker, such as skops_trusted."),
)

TABLES: dict[str, tuple[Setting, ...]] = {
    "server": SERVER,
    "telemetry": TELEMETRY,
    "deployment": DEPLOYMENT,
    "model": MODEL,
}
