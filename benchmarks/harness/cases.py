"""What is measured, of which servers, and what trimtab is meant to reach: issue 3's table.

A case is one row of it. Ratios are between medians of the same run; a target names the figures
that it needs, and is open where one of them is missing.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness import measures
from harness.measures import Figures, Session

Table = Mapping[str, Figures]
"""Median figures by server."""

ONE_CORE, BOTH_CORES = "server on one core", "both cores, shared with the client"


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be reached. `reached` gives the measured value in words and whether it is enough;
    it raises `KeyError` for figures that are not there."""

    text: str
    reached: Callable[[Table], tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class Case:
    """One row. `servers` are measured in turn; `measure` is what is done to each."""

    name: str
    title: str
    model: str
    cores: str
    servers: tuple[str, ...]
    measure: Callable[[Session], Figures]
    targets: tuple[Target, ...] = ()
    processes: int = 1
    """Of the peers' own, where they can share their work."""


def _best(table: Table, names: Sequence[str], figure: str, best: Callable[..., float]) -> float:
    found = [table[name][figure] for name in names if name in table]
    if not found:
        raise KeyError(names[0])
    return best(found)


def faster(times: float, than: str, ours: str = "trimtab") -> Target:
    """At least so many times the rate of the fastest of `than` (a product in all its forms)."""
    names = FORMS[than]

    def reached(table: Table) -> tuple[str, bool]:
        ratio = table[ours]["rate"] / _best(table, names, "rate", max)
        return f"{ratio:.1f} ×", ratio >= times

    return Target(f"{_called(ours)}≥ {times:g} × {than}", reached)


def steadier(times: float, than: Sequence[str], ours: str = "trimtab") -> Target:
    """A p99 so many times lower than that of the best of `than`."""
    names = [name for product in than for name in FORMS[product]]

    def reached(table: Table) -> tuple[str, bool]:
        ratio = _best(table, names, "p99", min) / table[ours]["p99"]
        return f"{ratio:.1f} ×", ratio >= times

    return Target(f"{_called(ours)}p99 ≥ {times:g} × lower than {', '.join(than)}", reached)


def at_most(figure: str, limit: float, unit: str, ours: str = "trimtab") -> Target:
    """A figure no larger than `limit`, which is in `unit`."""
    factor = {"ms": 1e3, "s": 1.0, "MiB": 2.0**-20, "%": 100.0}[unit]

    def reached(table: Table) -> tuple[str, bool]:
        value = table[ours][figure] * factor
        return f"{value:.3g} {unit}", value <= limit

    return Target(f"{_called(ours)}{figure.replace('_', ' ')} ≤ {limit:g} {unit}", reached)


def no_errors(ours: str = "trimtab") -> Target:
    """Every answer right."""

    def reached(table: Table) -> tuple[str, bool]:
        errors = table[ours]["errors"]
        return f"{errors:.0f} errors", errors == 0

    return Target(f"{_called(ours)}no error", reached)


def _called(ours: str) -> str:
    return "" if ours == "trimtab" else f"{ours.removeprefix('trimtab-')}: "


FORMS = {
    "FastAPI": ("fastapi",),
    "Starlette": ("starlette",),
    "MLServer": ("mlserver", "mlserver-batching"),
    "the best product": (
        *("fastapi", "mlserver", "mlserver-batching", "bentoml", "bentoml-batching"),
        *("litserve", "ray-serve"),
    ),
}
OURS = ("trimtab", "trimtab-compiled")
PRODUCTS = (*OURS, "fastapi", "starlette", *FORMS["MLServer"])
OTHERS = ("bentoml", "bentoml-batching", "litserve")

CASES = (
    Case(
        "logreg-64",
        "logistic regression, 64 connections",
        "logreg",
        ONE_CORE,
        (*PRODUCTS, *OTHERS),
        measures.closed(64),
        (
            *(faster(12, "FastAPI"), faster(12, "MLServer"), faster(9, "Starlette")),
            steadier(10, ("FastAPI", "MLServer", "Starlette")),
            faster(20, "the best product", "trimtab-compiled"),
            no_errors(),
        ),
    ),
    Case(
        "hgb-64",
        "gradient boosting, 64 connections",
        "hgb",
        ONE_CORE,
        (*PRODUCTS, *OTHERS),
        measures.closed(64),
        (
            *(faster(9, "MLServer"), faster(12, "Starlette")),
            faster(20, "the best product", "trimtab-compiled"),
            no_errors(),
        ),
    ),
    Case(
        "logreg-16",
        "logistic regression, 16 connections",
        "logreg",
        ONE_CORE,
        PRODUCTS,
        measures.closed(16),
        (faster(5, "FastAPI"), faster(14, "FastAPI", "trimtab-compiled")),
    ),
    Case(
        "logreg-1",
        "logistic regression, 1 connection: time added to the model's own",
        "logreg",
        ONE_CORE,
        ("trimtab", "fastapi", "starlette", *FORMS["MLServer"], "mlflow"),
        measures.added,
        (at_most("added", 0.25, "ms"),),
    ),
    Case(
        "json-100",
        "100 rows of JSON, 16 connections",
        "logreg",
        ONE_CORE,
        PRODUCTS,
        measures.closed(16, rows=100),
        (faster(2.5, "MLServer"),),
    ),
    Case(
        "binary-100",
        "100 rows of binary tensors, 16 connections (others: JSON)",
        "logreg",
        ONE_CORE,
        (*OURS, *FORMS["MLServer"]),
        measures.closed(16, rows=100, kind="binary"),
        (faster(6, "MLServer"),),
    ),
    Case(
        "grpc-64",
        "gRPC, 64 connections",
        "logreg",
        ONE_CORE,
        (*OURS, *FORMS["MLServer"]),
        measures.closed(64, kind="grpc"),
        (faster(3.5, "MLServer"),),
    ),
    Case(
        "start",
        "cold start to the first answer (files in the page cache)",
        "logreg",
        BOTH_CORES,
        (*PRODUCTS, *OTHERS, "ray-serve", "mlflow"),
        measures.start,
        (at_most("seconds", 3.0, "s"), at_most("seconds", 0.7, "s", "trimtab-compiled")),
    ),
    Case(
        "memory",
        "memory of the idle server, all processes, each page counted once",
        "logreg",
        BOTH_CORES,
        (*PRODUCTS, *OTHERS, "ray-serve", "mlflow"),
        measures.idle_memory,
        (at_most("memory", 250.0, "MiB"),),
    ),
    Case(
        "open-800",
        "open loop, 800/s over 64 connections",
        "logreg",
        BOTH_CORES,
        (*PRODUCTS, "ray-serve"),
        measures.opened(800.0, 64),
        (at_most("p99", 2.2, "ms"), at_most("p99", 1.1, "ms", "trimtab-compiled"), no_errors()),
        processes=2,
    ),
    Case(
        "open-8000",
        "open loop, 8,000/s over 64 connections",
        "logreg",
        BOTH_CORES,
        OURS,
        measures.opened(8_000.0, 64),
        (at_most("p99", 5.0, "ms"), no_errors(), no_errors("trimtab-compiled")),
        processes=2,
    ),
    Case(
        "recorder",
        "what recorder and monitors cost, 64 connections",
        "logreg",
        BOTH_CORES,
        OURS,
        measures.recorder_cost,
        (at_most("rate_lost", 5.0, "%"), at_most("p99_added", 5.0, "%")),
    ),
    Case(
        "worker",
        "a further worker on a warm host; memory without pages of files, which are shared",
        "logreg",
        BOTH_CORES,
        OURS,
        measures.further_worker,
        (at_most("seconds", 100.0, "ms"), at_most("private_memory", 15.0, "MiB")),
    ),
)


def medians(runs: Sequence[Figures]) -> Figures:
    """The median of each figure; errors are added up instead."""
    names = {name for run in runs for name in run}
    return {
        name: (sum if name == "errors" else statistics.median)(
            [run[name] for run in runs if name in run]
        )
        for name in names
    }
