"""Which metrics a deployment promises, and what the release was worth by each."""

import msgspec
import numpy as np

from trimtab.domain.deployment import MonitorPlan
from trimtab.domain.profile import QualityProfile, ReferenceProfile, SegmentEstimate
from trimtab.domain.records import Floats
from trimtab.domain.signature import Signature
from trimtab.judge.measured import Measured, of_days, of_rows
from trimtab.judge.own_loss import same


def named(plan: MonitorPlan, profile: ReferenceProfile | None) -> tuple[str, ...]:
    """The metrics that are asked for, the one that stands for all first."""
    if plan.quality == "none" or profile is None or not profile.quality:
        return ()
    if plan.quality == "auto":
        stated = "cost" if plan.costs else "loss" if plan.loss else None
        return (stated,) if stated else _auto(profile)
    return (plan.quality,) if isinstance(plan.quality, str) else plan.quality


def _auto(profile: ReferenceProfile) -> tuple[str, ...]:
    """The first metric of the release and, where it decides between classes, the error.

    An AUC sees harm where one class is rare, and all that is predicted is the other; the error
    sees it sooner where classes are even."""
    known = [quality.metric for quality in profile.quality]
    return tuple(metric for metric in known if metric in (known[0], "error"))


def needed(plan: MonitorPlan) -> tuple[str, ...]:
    """The metrics of a binary task that a plan asks a reference for: those that are watched; the
    first and the error, which stand for a task; Brier's score, which trust in estimates goes by;
    the precision, by which costs of days differ."""
    asked = (plan.quality,) if isinstance(plan.quality, str) else plan.quality
    return ("roc_auc", "error", "brier", "precision", *asked)


def promised(
    plan: MonitorPlan, profile: ReferenceProfile | None, signature: Signature
) -> tuple[QualityProfile, ...]:
    """The qualities that are watched; none when quality is off or the profile has none."""
    if profile is None:
        return ()
    made = [_quality(metric, plan, profile, signature) for metric in named(plan, profile)]
    return tuple(quality for quality in made if isinstance(quality, QualityProfile))


def promised_in(
    plan: MonitorPlan,
    profile: ReferenceProfile,
    segment: SegmentEstimate,
    signature: Signature,
) -> tuple[QualityProfile, ...]:
    """The qualities that are watched, as a segment of the reference was worth by them."""
    own = msgspec.structs.replace(profile, quality=segment.quality, decisions=segment.decisions)
    made = [_quality(metric, plan, own, signature) for metric in named(plan, profile)]
    return tuple(quality for quality in made if isinstance(quality, QualityProfile))


def lacking(
    plan: MonitorPlan, profile: ReferenceProfile | None, signature: Signature
) -> dict[str, str]:
    """Metrics that are asked for and cannot be watched, and why."""
    if profile is None:
        return {}
    made = {metric: _quality(metric, plan, profile, signature) for metric in named(plan, profile)}
    return {metric: why for metric, why in made.items() if isinstance(why, str)}


def _quality(
    metric: str, plan: MonitorPlan, profile: ReferenceProfile, signature: Signature
) -> QualityProfile | str:
    """What the release was worth by a metric, or why this cannot be told."""
    if metric == "cost":
        return cost_quality(plan, profile, signature)
    known = next((each for each in profile.quality if each.metric == metric), None)
    if metric == "loss":
        return _own_quality(plan, known)
    return known or (
        "how good the reference is by it is not known: it is a metric of another task, or the "
        "release was built before it could be measured"
    )


def _own_quality(plan: MonitorPlan, known: QualityProfile | None) -> QualityProfile | str:
    """The loss of the user's own on the reference; rows of it are needed, and no release keeps
    them, so it must have been known at the build."""
    if not plan.loss:
        return "nothing says how the loss is calculated"
    if known is not None and same(known.formula, plan.loss) and known.scale == plan.loss_bound:
        return known
    other = f" with another one, {known.formula} up to {known.scale:g}" if known else " without it"
    return (
        f"the release was built{other}, and keeps no rows to calculate it from: build it again "
        "with --loss and --loss-bound"
    )


def cost_quality(
    plan: MonitorPlan, profile: ReferenceProfile, signature: Signature
) -> QualityProfile | str:
    """What the decisions on the reference cost by the plan's costs, as a share of the largest.

    Or why this cannot be told. With at least five days it is the mean over days.
    """
    unfit = _unfit(plan, profile, signature)
    if unfit:
        return unfit
    classes, costs = signature.classes, plan.costs
    table = np.array([[costs.get(a, {}).get(b, 0.0) for b in classes] for a in classes])
    scale = float(table.max())
    share = table / scale
    counts = np.array(profile.decisions, dtype=np.float64).reshape(-1, *share.shape)
    made = _measured(counts, share)
    return QualityProfile(
        metric="cost",
        value=made.value,
        lower=max(made.lower, 0.0),
        upper=min(made.upper, 1.0),
        n=int(counts.sum()),
        spread=made.spread,
        scale=scale,
        costs=tuple(tuple(row) for row in share.tolist()),
    )


def _unfit(plan: MonitorPlan, profile: ReferenceProfile, signature: Signature) -> str:
    """Why decisions cannot be priced, empty if they can."""
    if not plan.costs:
        return "nothing says what a decision costs"
    every = {name for row in plan.costs.values() for name in row} | set(plan.costs)
    strange = sorted(every - set(signature.classes))
    if strange:
        return f"costs are set for {', '.join(strange)}, which the model does not answer"
    if not profile.decisions:
        return "the release does not know what it decided on its reference: build it again"
    return ""


def _measured(counts: Floats, share: Floats) -> Measured:
    """The mean cost of rows counted by day, decision and truth."""
    rows = counts.sum(axis=(1, 2))
    daily = [float((day * share).sum() / n) for day, n in zip(counts, rows, strict=True) if n]
    made = of_days(daily)
    if made is not None:
        return made
    total, n = counts.sum(axis=0), float(rows.sum())
    value = float((total * share).sum()) / n
    deviation = float(np.sqrt((total * (share - value) ** 2).sum() / n))
    return of_rows(value, deviation, int(n))
