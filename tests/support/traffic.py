"""Rows and labels of an invented service, for monitors and guard: two columns, one of them a text.

`level` is a rounded measurement around 10, `side` is left or right; the label is 1 with the
probability that the score says.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trimtab.domain.deployment import DeploymentSpec, MonitorPlan
from trimtab.domain.names import Digest
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Labelled, Rows
from trimtab.domain.rollout import Standing
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.judge.profile import Reference, build_profile

DAY = 86_400.0
STABLE = Standing(Digest("sha256:" + "a" * 64), "m@1", 1)
CANDIDATE = Standing(Digest("sha256:" + "b" * 64), "m@2", 2)
BINARY = Signature(
    inputs=(Column("level", Datatype.FP64, nullable=True), Column("side", Datatype.BYTES)),
    outputs=(Output("score", Datatype.FP64), Output("label", Datatype.BYTES)),
    task="binary",
    classes=("0", "1"),
)


def spec(**plan: Any) -> DeploymentSpec:
    """A deployment on event time; keywords are those of its monitor plan."""
    given: dict[str, Any] = {"quality": "brier", "segments": ("side",), **plan}
    return DeploymentSpec(name="d", model="m", clock="event", monitor=MonitorPlan(**given))


def columns(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Inputs of n rows."""
    side = rng.choice(np.array(["left", "right"], dtype=object), n)
    return {"level": np.round(rng.normal(10.0, 2.0, n), 1), "side": side}


def rows(n: int, *, seed: int = 0, start: float = 0.0, seconds: float = DAY, **fixed: Any) -> Rows:
    """n answered rows of stable, spread evenly over `seconds` from `start`."""
    rng = np.random.default_rng(seed)
    base: dict[str, Any] = {
        "request_id": [f"{seed}-{i}" for i in range(n)],
        "row": 0,
        "event_time": start + np.arange(n) * seconds / max(n, 1),
        "received_at": start + np.arange(n) * seconds / max(n, 1),
        "release": STABLE.digest,
        "mode": "stable",
        "weight": 0,
        "unit": np.arange(n, dtype=np.uint64) + np.uint64(seed * 1_000_000),
        "attempt": 0,
        "worker": [f"w-{i % 3}" for i in range(n)],
        "final": True,
        "outcome": "ok",
        "total_seconds": 0.01,
    }
    made = {name: column(value, n) for name, value in {**base, **fixed}.items()}
    scores = np.round(rng.beta(2.0, 6.0, n), 3)
    return Rows(made, columns(rng, n), {"score": scores})


def column(value: Any, n: int) -> np.ndarray:
    """A constant, or values, as a column."""
    if isinstance(value, np.ndarray):
        return value
    values = value if isinstance(value, list) else [value] * n
    return np.array(values, dtype=object if isinstance(values[:1] and values[0], str) else None)


def labelled(given: Rows, *, seed: int = 0, flip: float = 0.0) -> Labelled:
    """Labels that come true as the scores say; a share `flip` of them is turned around."""
    rng = np.random.default_rng(seed + 10_000)
    n = len(given)
    truth = rng.random(n) < given.outputs["score"]
    truth ^= rng.random(n) < flip
    label = np.where(truth, "1", "0").astype(object)
    return Labelled(given, label, given.fixed["event_time"] + 60.0)


def reference(
    days: int = 20, per_day: int = 400, timed: bool = True, groups: tuple[str, ...] = ()
) -> Reference:
    """Reference rows of some days."""
    parts = [rows(per_day, seed=1000 + day, start=day * DAY) for day in range(days)]
    truths = [labelled(part, seed=1000 + day).label for day, part in enumerate(parts)]
    inputs = {name: np.concatenate([p.inputs[name] for p in parts]) for name in parts[0].inputs}
    time = np.concatenate([part.fixed["event_time"] for part in parts])
    score = np.concatenate([part.outputs["score"] for part in parts])
    return Reference(
        BINARY,
        inputs,
        {"score": score},
        np.concatenate(truths),
        time if timed else None,
        ("side",),
        groups,
    )


def profile(timed: bool = True, groups: tuple[str, ...] = ()) -> ReferenceProfile:
    """The profile of that reference."""
    return build_profile(reference(timed=timed, groups=groups))


def related(given: Rows, lift: float = 3.0) -> Rows:
    """The rows with a level that is higher on the right."""
    higher = np.where(given.inputs["side"] == "right", lift, 0.0)
    level = np.round(given.inputs["level"] + higher, 1)
    return Rows(given.fixed, {**given.inputs, "level": level}, given.outputs)


def related_profile(timed: bool = True, days: int = 20, lift: float = 3.0) -> ReferenceProfile:
    """The profile of a reference in which the level is higher on the right."""
    known = reference(days=days, timed=timed)
    higher = np.where(known.inputs["side"] == "right", lift, 0.0)
    level = np.round(known.inputs["level"] + higher, 1)
    return build_profile(replace(known, inputs={**known.inputs, "level": level}))


@dataclass(slots=True)
class Change:
    """What is different about the rows of a day."""

    missing: float = 0.0
    only: str | None = None
    factor: float = 1.0
    flip: float = 0.0
    shift: float = 0.0
    failed: float = 0.0
    slow: float = 0.0


def changed(given: Rows, change: Change, seed: int = 0) -> Rows:
    """The rows under a change."""
    rng = np.random.default_rng(seed + 20_000)
    n = len(given)
    level = given.inputs["level"] * change.factor + change.shift
    here = np.ones(n, bool) if change.only is None else given.inputs["side"] == change.only
    level = np.where(here & (rng.random(n) < change.missing), np.nan, level)
    failed = rng.random(n) < change.failed
    slow = rng.random(n) < change.slow
    fixed = dict(given.fixed)
    fixed["outcome"] = np.where(failed, "failed", "ok").astype(object)
    fixed["total_seconds"] = np.where(slow, 1.0, 0.01)
    score = np.where(failed, np.nan, given.outputs["score"])
    return Rows(fixed, {**given.inputs, "level": level}, {"score": score})
