"""The segments whose quality is estimated before labels come, and why others are not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from trimtab.domain.profile import (
    EstimateProfile,
    QualityProfile,
    SegmentEstimate,
)
from trimtab.domain.verdicts import Verdict
from trimtab.judge import describe
from trimtab.judge.declared import declared
from trimtab.judge.estimate import FEWEST, Learned, with_costs
from trimtab.judge.promised import promised_in
from trimtab.judge.segment_estimate import of_segment
from trimtab.judge.segment_profile import MOST_SEGMENTS
from trimtab.judge.signals.family import Target


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment that was learned: what is expected of it, and its metrics on the reference."""

    of: SegmentEstimate
    learned: Learned
    qualities: Mapping[str, QualityProfile]


def learned_segments(target: Target, whole: Learned) -> tuple[Segment, ...]:
    """The segments of a release that were learned, with the metrics of the deployment that can be
    estimated; `whole` is of all rows."""
    made = []
    for each in whole.profile.segments:
        if each.cells:
            qualities = _qualities(target, each, whole.profile)
            made.append(Segment(each, _learned(target, whole, each, qualities), qualities))
    return tuple(made)


def _qualities(
    target: Target, segment: SegmentEstimate, profile: EstimateProfile
) -> dict[str, QualityProfile]:
    assert target.profile is not None
    known = promised_in(target.spec.monitor, target.profile, segment, target.signature)
    return {each.metric: each for each in known if each.metric in profile.metrics}


def _learned(
    target: Target,
    whole: Learned,
    segment: SegmentEstimate,
    qualities: Mapping[str, QualityProfile],
) -> Learned:
    assert target.profile is not None
    assert target.profile.estimate is not None
    bare = target.profile.estimate
    own = msgspec.structs.replace(bare, wobbles=segment.wobbles, drifts=segment.drifts)
    for quality in qualities.values():
        own = with_costs(own, quality, segment.cells)
    return of_segment(whole, own, segment)


def signal_of(target: Target, metric: str, name: str) -> str:
    """The name of a segment's signal: that of all rows, and the segment's."""
    return f"{target.signal('estimate', metric)}:{name}"


def unlearned(
    target: Target, metrics: Sequence[str], segments: Sequence[Segment], limit: float
) -> tuple[Verdict, ...]:
    """What is not estimated of `metrics`, and why: by segment, or by declared column."""
    if target.profile is None or target.profile.estimate is None or not metrics:
        return ()
    told = target.profile.estimate.segments
    reasons = {(metrics[0], each.name, each.column, each.value): _few(each) for each in told}
    reasons = {key: reason for key, reason in reasons.items() if reason}
    for each in segments:
        of = each.of
        for metric in metrics:
            if metric not in each.qualities:
                reasons[metric, of.name, of.column, of.value] = (
                    f"{metric} is not defined on the {of.n} rows of the reference with {of.name}"
                )
    names = {*target.spec.monitor.segments, *target.profile.segments}
    for column in declared(names - {each.column for each in told}, target.profile.inputs):
        reasons[metrics[0], column.name, "column", column.name] = (
            f"the release was built without segments of {column.name}: build it again with "
            f"--segments {column.name}"
        )
    return tuple(
        msgspec.structs.replace(
            describe.unknown(signal_of(target, metric, name), target.release, limit, reason),
            scope={key: value},
        )
        for (metric, name, key, value), reason in reasons.items()
    )


def _few(segment: SegmentEstimate) -> str:
    """Why a segment was not learned; empty for one that was."""
    if segment.cells:
        return ""
    if segment.n >= FEWEST:
        return f"only the {MOST_SEGMENTS} largest segments are learned"
    return (
        f"the reference has {segment.n} labelled rows with {segment.name}, at least {FEWEST} are "
        "needed"
    )
