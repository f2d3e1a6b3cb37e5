"""Causes in the data: a feed that broke, inputs that moved, a world that answers differently.

What is expected of the rows that came separates inputs that got harder (quality is as low as could
be expected of them) from a relation that changed (it is lower). Where nothing can be expected, the
calibration of the scores does.
"""

from collections.abc import Sequence

from trimtab.domain.plurals import many
from trimtab.domain.verdicts import Cause, RuledOut, Verdict
from trimtab.judge.causes.case import MOVES, Calibration, Opinion, Strength, Suspicion, Trouble
from trimtab.judge.describe import NAMING, WORSE, day, group
from trimtab.judge.describe import columns as columns_of

_IN_BAND = "inputs and predictions are in their bands"
_INTACT = "no column jumped against its recent past"


def upstream_break(trouble: Trouble) -> Opinion:
    """A column against its own recent past, against the segments where it is intact, and against
    the columns that it went together with."""
    if trouble.kind in ("quality", "drift", "bias"):
        return _break_beside(trouble)
    if trouble.kind != "upstream":
        return None
    breaks = [verdict for verdict in trouble.bad if group(verdict.signal) == "upstream"]
    columns = len(trouble.every.where(lambda signal: group(signal) == "input"))
    intact = columns - len({name for verdict in breaks for name in columns_of(verdict)})
    local = sorted({f"{k} {v}" for b in breaks for k, v in b.scope.items() if k not in NAMING})
    evidence = (
        *(verdict.reason for verdict in breaks),
        f"{intact} of {many(columns, 'column')} {_as_ever(breaks)}",
        *(f"only {text} is affected, the others are not" for text in local),
    )
    return Suspicion(Cause.UPSTREAM_BREAK, Strength.LIKELY, evidence)


def _as_ever(breaks: Sequence[Verdict]) -> str:
    """What the other columns do."""
    jumped = not all(_apart(verdict) for verdict in breaks)
    return "did not jump at that time" if jumped else "contradict none of the others"


def _apart(verdict: Verdict) -> bool:
    """Whether a feed was found broken by what its column contradicts."""
    return verdict.signal.startswith("upstream:relations:")


def _break_beside(trouble: Trouble) -> Opinion:
    """A feed that was found broken only after what it does to quality or to groups."""
    broken = trouble.found("upstream")
    if not broken:
        return RuledOut(Cause.UPSTREAM_BREAK, _INTACT)
    if trouble.kind == "drift":
        # What a break explains is part of its own incident.
        return None
    evidence = tuple(verdict.reason for verdict in broken)
    return Suspicion(Cause.UPSTREAM_BREAK, Strength.LIKELY, evidence)


def concept_drift(trouble: Trouble) -> Opinion:
    """The relation of inputs and labels changed."""
    match trouble.kind:
        case "upstream":
            by = "quality while a feed is broken says nothing of the model"
            return RuledOut(Cause.CONCEPT_DRIFT, by)
        case "labels":
            by = "labels that are at fault say nothing of the model"
            return RuledOut(Cause.CONCEPT_DRIFT, by)
        case "drift" if trouble.changed:
            return Suspicion(Cause.CONCEPT_DRIFT, Strength.LIKELY, _harmless(trouble))
        case "quality":
            return _concept_by_quality(trouble)
        case "bias" if not _decided(trouble):
            return Suspicion(Cause.CONCEPT_DRIFT, Strength.LIKELY, trouble.reasons)
        case _:
            return None


def _concept_by_quality(trouble: Trouble) -> Opinion:
    calibration, moved = trouble.case.calibration, trouble.found(*MOVES)
    fallen, told = _fallen(trouble), trouble.case.explained
    if told is not None and not told.changed:
        return Suspicion(Cause.CONCEPT_DRIFT, Strength.POSSIBLE, (str(told),))
    if told is not None:
        parts = (fallen, f"{told}: they come true otherwise", *(() if moved else (_IN_BAND,)))
        return Suspicion(Cause.CONCEPT_DRIFT, Strength.LIKELY, (*parts, *_estimated(trouble)))
    if calibration is None:
        if moved:
            return None
        evidence: tuple[str, ...] = (fallen, _IN_BAND)
        return Suspicion(Cause.CONCEPT_DRIFT, Strength.LIKELY, (*evidence, *_estimated(trouble)))
    gap = _gap(calibration)
    if calibration.moved:
        evidence = (fallen, f"{gap}: the same scores come true otherwise")
    elif moved:
        return Suspicion(Cause.CONCEPT_DRIFT, Strength.POSSIBLE, (gap,))
    else:
        evidence = (fallen, _IN_BAND, gap)
    return Suspicion(Cause.CONCEPT_DRIFT, Strength.LIKELY, (*evidence, *_estimated(trouble)))


def data_drift(trouble: Trouble) -> Opinion:
    """The inputs moved: with harm when quality fell, else without."""
    match trouble.kind:
        case "upstream":
            return RuledOut(Cause.DATA_DRIFT, _no_drift(trouble))
        case "parity":
            by = "both values are of the same answers: what the world does to a column is in both"
            return RuledOut(Cause.DATA_DRIFT, by)
        case "drift" if not trouble.changed:
            return Suspicion(Cause.DATA_DRIFT, Strength.LIKELY, _harmless(trouble))
        case "quality":
            return _data_by_quality(trouble)
        case "bias" if _decided(trouble):
            same = "the release is the same, so the inputs of the group moved"
            return Suspicion(Cause.DATA_DRIFT, Strength.FITTING, (*trouble.reasons, same))
        case "bias":
            by = "decisions are no further apart than is harmless, only labels are"
            return RuledOut(Cause.DATA_DRIFT, by)
        case _:
            return None


def _no_drift(trouble: Trouble) -> str:
    if all(_apart(verdict) for verdict in trouble.found("upstream")):
        return "columns contradict each other, as they do however other rows are that come"
    first = day(trouble.since("upstream"))
    return f"the change came within one block ({first}), against the stream's own recent past"


def _data_by_quality(trouble: Trouble) -> Opinion:
    calibration, moved = trouble.case.calibration, trouble.found(*MOVES)
    told = trouble.case.explained
    if told is not None and not told.changed:
        harder = f"{told}: the inputs became harder"
        parts = (_fallen(trouble), harder, *((_moved(moved),) if moved else ()))
        return Suspicion(Cause.DATA_DRIFT, Strength.LIKELY, (*parts, *_estimated(trouble)))
    if not moved:
        return RuledOut(Cause.DATA_DRIFT, _IN_BAND)
    inputs = _moved(moved)
    if told is not None:
        return Suspicion(Cause.DATA_DRIFT, Strength.FITTING, (inputs, str(told)))
    if calibration is None:
        asked = "without scores it cannot be told whether the relation itself changed"
        evidence = (_fallen(trouble), inputs, asked)
    elif calibration.moved:
        return Suspicion(Cause.DATA_DRIFT, Strength.FITTING, (inputs,))
    else:
        harder = "the scores still mean what they meant: the inputs became harder"
        evidence = (_fallen(trouble), inputs, f"{_gap(calibration)}: {harder}")
    return Suspicion(Cause.DATA_DRIFT, Strength.LIKELY, (*evidence, *_estimated(trouble)))


def _fallen(trouble: Trouble) -> str:
    return next(each.reason for each in trouble.bad if group(each.signal) in WORSE)


def _moved(moved: Sequence[Verdict]) -> str:
    return f"{', '.join(verdict.signal for verdict in moved)} moved out of band"


def _gap(calibration: Calibration) -> str:
    return (
        f"label minus score is {calibration.live:+.3f}, {calibration.reference:+.3f} on the "
        "reference"
    )


def _decided(trouble: Trouble) -> bool:
    """Whether a group is decided otherwise: labels that come true otherwise do not do that."""
    return any(verdict.signal in ("bias:selection", "bias:score") for verdict in trouble.bad)


def _harmless(trouble: Trouble) -> tuple[str, ...]:
    evidence = [f"{verdict.signal}: {verdict.reason}" for verdict in trouble.bad]
    evidence.append(f"realised quality shows no harm so far; {trouble.case.labels}")
    told = any(group(verdict.signal) == "estimate" for verdict in trouble.bad)
    return (*evidence, *(() if told else _estimated(trouble)))


def _estimated(trouble: Trouble) -> tuple[str, ...]:
    """What was expected of quality without labels, as far as anything was: of all rows, and of
    segments where it left their zone."""
    told = [verdict for verdict in trouble.every if group(verdict.signal) == "estimate"]
    return tuple(
        f"estimate: {verdict.reason}"
        for verdict in told
        if verdict.verdict == "bad"
        or (not verdict.scope and (verdict.n or verdict.estimate is not None))
    )
