"""Verdicts that belong together: one incident per cause, opened, updated and closed."""

from collections.abc import Collection, Sequence

import msgspec

from trimtab.domain.names import short
from trimtab.domain.verdicts import Incident, Tier, Verdict
from trimtab.judge.budget import TIMES
from trimtab.judge.causes.case import Case, Trouble, began
from trimtab.judge.describe import group
from trimtab.judge.diagnose import diagnose
from trimtab.judge.folds import HOSTS, folded
from trimtab.judge.reports import MonitorReport
from trimtab.judge.said import Verdicts

KINDS = {
    "upstream": "upstream",
    "errors": "service",
    "latency": "service",
    "workers": "service",
    "quality": "quality",
    "segments": "quality",
    "bias": "bias",
    "prediction": "drift",
    "positive_rate": "drift",
    "estimate": "drift",
    "calibration": "drift",
    "labels": "labels",
    "feedback": "labels",
    "parity": "parity",
    "input": "drift",
    "callers": "callers",
    "multivariate": "drift",
    "golden": "golden",
    "resources": "resources",
}
"""Kind of the incident that a group of signals belongs to."""

ORDER: tuple[Tier, ...] = ("page", "ticket", "note")


def reconcile(
    case: Case, verdicts: Sequence[Verdict], open_incidents: Sequence[Incident]
) -> MonitorReport:
    """Put bad verdicts into incidents: those already open are kept, changed or closed."""
    told = Verdicts(verdicts)
    ours = [incident for incident in open_incidents if incident.release == case.release]
    known = {kind_of(incident): incident for incident in ours if kind_of(incident)}
    wanted = _grouped(told.bad, known)
    moved = _fold(case, wanted, known)
    opened: list[Incident] = []
    updated: list[Incident] = []
    for kind, bad in wanted.items():
        if kind in known and not any(KINDS[group(verdict.signal)] == kind for verdict in bad):
            # What is left of an incident keeps it open, and says nothing new of it.
            continue
        before = _without(known.get(kind), moved.get(kind, {}))
        made = _incident(Trouble(kind, case, bad, told), before, len(opened))
        if kind not in known:
            opened.append(made)
        elif _differs(made, known[kind]):
            updated.append(made)
    closed = tuple(incident.id for kind, incident in known.items() if kind not in wanted)
    ids = {kind_of(each): each.id for each in (*known.values(), *opened)}
    parts = {
        ids[kind]: ids[host]
        for kind, signals in moved.items()
        for signal, host in signals.items()
        if kind in known and kind not in wanted and signal in known[kind].signals
    }
    return MonitorReport(told, tuple(opened), tuple(updated), closed, parts)


def kind_of(incident: Incident) -> str:
    """The kind of an incident, from its first signal."""
    return KINDS.get(group(incident.signals[0]), "")


def _grouped(every: Sequence[Verdict], known: dict[str, Incident]) -> dict[str, list[Verdict]]:
    """Bad verdicts by kind. Quality that falls while a feed is broken, or served
    otherwise than training has it, belongs to that."""
    wanted: dict[str, list[Verdict]] = {}
    for verdict in every:
        wanted.setdefault(KINDS[group(verdict.signal)], []).append(verdict)
    before = known["quality"].signals if "quality" in known else ()
    if "drift" in wanted and ("quality" in wanted or "calibration" in before):
        # Scores that no longer come true are why quality fell, not a second incident.
        drift = wanted.pop("drift")
        beside = [verdict for verdict in drift if verdict.signal == "calibration"]
        rest = [verdict for verdict in drift if verdict.signal != "calibration"]
        both = [*wanted.get("quality", []), *beside]
        wanted |= ({"quality": both} if both else {}) | ({"drift": rest} if rest else {})
    for kind in ("parity", "upstream"):
        if kind in wanted and "quality" in wanted and "quality" not in known:
            wanted[kind] += wanted.pop("quality")
    return wanted


def _fold(
    case: Case, wanted: dict[str, list[Verdict]], known: dict[str, Incident]
) -> dict[str, dict[str, str]]:
    """Make what a broken feed or a caller explains part of its incident; say by kind which signals
    it was, and to which kind they went. A page that went out before stays what it is."""
    every = [verdict for bad in wanted.values() for verdict in bad]
    apart = [kind for kind, each in known.items() if kind == "quality" and each.tier == "page"]
    moved: dict[str, dict[str, str]] = {}
    for host in HOSTS:
        taken = folded(case, every, known, host)
        for kind in ("quality", "drift"):
            mine = [each for each in wanted.get(kind, []) if each.signal in taken]
            if kind in apart or not mine:
                continue
            wanted.setdefault(host, []).extend(mine)
            rest = [each for each in wanted.pop(kind) if each.signal not in taken]
            wanted |= {kind: rest} if rest else {}
            moved[kind] = moved.get(kind, {}) | {each.signal: host for each in mine}
    return moved


def _without(incident: Incident | None, gone: Collection[str]) -> Incident | None:
    """An incident without signals that belong to another one now."""
    if incident is None or not gone:
        return incident
    kept = tuple(signal for signal in incident.signals if signal not in gone)
    return msgspec.structs.replace(incident, signals=kept)


def _incident(trouble: Trouble, known: Incident | None, earlier: int) -> Incident:
    kind, case, bad = trouble.kind, trouble.case, trouble.bad
    diagnosis = diagnose(trouble)
    name = f"{case.deployment}-{short(case.release)}-{kind}"
    first = began(bad, case)
    tiers = [verdict.tier for verdict in bad] + ([] if known is None else [known.tier])
    tier = min(tiers, key=ORDER.index)
    said = [verdict for verdict in bad if KINDS[group(verdict.signal)] in (kind, "quality")]
    loudest = max(said, key=lambda verdict: verdict.evidence_log10 - verdict.threshold_log10)
    return Incident(
        id=f"{name}-{case.opened + earlier + 1}" if known is None else known.id,
        deployment=case.deployment,
        release=case.release,
        tier=tier,
        opened_at=case.clock if known is None else known.opened_at,
        first_evidence_at=first if known is None else min(first, known.first_evidence_at),
        signals=_signals(kind, bad, known),
        severity=loudest.reason,
        causes=diagnosis.causes,
        ruled_out=diagnosis.ruled_out,
        action="" if known is None else known.action,
        undo="" if known is None else known.undo,
        bound=_bound(tier, case),
        verdicts=tuple(bad),
    )


def _bound(tier: Tier, case: Case) -> str:
    """What the alarm budget promises of the tier."""
    tolerated = TIMES[tier] * case.false_alarms
    return (
        f"at most {tolerated:.3g} {tier}s a year of {case.deployment} are false alarms, on average"
    )


def _signals(kind: str, bad: Sequence[Verdict], known: Incident | None) -> tuple[str, ...]:
    """All signals so far, those of the incident's own kind first, since they tell its kind."""
    before = () if known is None else known.signals
    names = dict.fromkeys([*before, *(verdict.signal for verdict in bad)])
    return tuple(sorted(names, key=lambda name: KINDS[group(name)] != kind))


def _differs(made: Incident, known: Incident) -> bool:
    """Whether there is news: severity in numbers changes with every block and is none."""
    first = made.causes[0].cause, known.causes[0].cause
    return made.signals != known.signals or made.tier != known.tier or first[0] is not first[1]
