"""Entries of the journal and statuses, in the words of the timeline."""

from collections.abc import Mapping

from trimtab.demo.observed import Observed
from trimtab.demo.timeline import Note, bar
from trimtab.views.shapes import DeploymentView, EventView, IncidentView, VerdictView

_TONES = {
    "rollout_started": "busy",
    "rollout_advanced": "busy",
    "proven": "good",
    "rolled_back_to": "bad",
    "incident_closed": "good",
    "run_requested": "busy",
    "run_succeeded": "good",
    "run_failed": "bad",
    "release_registered": "quiet",
    "rollout_paused": "warn",
    "rollout_resumed": "quiet",
}
_TIERS = {"page": "bad", "ticket": "warn", "note": "quiet"}


def told_event(event: EventView, observed: Observed, clock: float) -> Note | None:
    """The entry as a line; None when it says nothing that a watcher needs.

    `clock` is where the event clock stands, for entries without a clock of their own."""
    at = event.clock_at.timestamp() if event.clock_at else clock
    if event.kind == "incident_opened":
        return _told_incident(event, observed, at)
    if event.kind == "incident_updated" and event.reason.startswith("retrain"):
        return Note(at, "busy", f"{event.summary}; {event.reason}")
    if event.kind == "rollout_ended":
        if "promoted" in event.summary:
            return Note(at, "good", _named(event), _reason(event))
        return Note(at, "bad", _named(event), _why(event))
    tone = _TONES.get(event.kind, "")
    if not tone:
        return None
    # What a run is for stands in its sentence.
    details = [] if event.kind == "run_requested" else _reason(event)
    return Note(at, tone, _named(event), details)


def _named(event: EventView) -> str:
    if event.release and event.release not in event.summary:
        return f"{event.release}: {event.summary}"
    return event.summary


def _reason(event: EventView) -> list[str]:
    return [event.reason] if event.reason else []


def _why(event: EventView) -> list[str]:
    shown = _evidence_of(event.evidence)
    return [*_reason(event), *([shown] if shown else [])]


def _evidence_of(facts: Mapping[str, float | str | None]) -> str:
    evidence, threshold = facts.get("evidence_log10"), facts.get("threshold_log10")
    if not isinstance(evidence, float | int) or not isinstance(threshold, float | int):
        return ""
    return f"{facts.get('signal', '')} {bar(evidence, threshold)}".strip()


def _told_incident(event: EventView, observed: Observed, at: float) -> Note:
    words = event.summary.split()
    incident = next((i for i in observed.incidents if i.id in (*words, event.summary)), None)
    if incident is None:
        return Note(at, "warn", event.summary, _why(event))
    cause = incident.causes[0].cause.value.replace("_", " ") if incident.causes else "unknown"
    text = f"{incident.tier.upper()}: {cause} · {incident.release} · {incident.severity}"
    return Note(at, _TIERS[incident.tier], text, _incident_details(incident))


def _incident_details(incident: IncidentView) -> list[str]:
    known = incident.causes[0].evidence[:3] if incident.causes else ()
    proof = [f"because {text}" for text in known if text != incident.severity]
    strongest = sorted(
        (v for v in incident.verdicts if v.verdict == "bad"),
        key=lambda v: v.threshold_log10 - v.evidence_log10,
    )
    shown = [
        f"{verdict.label} {bar(verdict.evidence_log10, verdict.threshold_log10)}"
        for verdict in strongest[:2]
    ]
    not_so = [
        f"not {ruled.cause.value.replace('_', ' ')}: {ruled.by}" for ruled in incident.ruled_out[:3]
    ]
    action = [f"action: {incident.action}"] if incident.action else []
    return [*proof, *shown, *not_so, *action]


def shares(status: DeploymentView) -> str:
    """`flight-delay@1 95 %  flight-delay@2 5 % canary`."""
    rollout = status.rollout
    parts = [f"{s.release} {s.weight_ratio:.0%}" for s in (status.stable,) if s is not None]
    if status.candidate is not None and rollout is not None:
        parts.append(f"{status.candidate.release} {status.candidate.weight_ratio:.0%}")
    return "  ".join(parts) + (f" {rollout.state}" if rollout is not None else "")


def words(verdicts: tuple[VerdictView, ...]) -> str:
    """How many verdicts say what, and the first that is bad."""
    counts = {word: sum(v.verdict == word for v in verdicts) for word in ("ok", "unknown", "bad")}
    icons = {"ok": "✔", "unknown": "?", "bad": "✖"}
    told = " ".join(f"{icons[word]}{count}" for word, count in counts.items() if count)
    worst = next((v.label for v in verdicts if v.verdict == "bad"), "")
    return f"{told} {worst}".strip()
