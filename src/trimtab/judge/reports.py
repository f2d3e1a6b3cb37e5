"""What the monitors and the guard hand to `decide`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trimtab.domain.verdicts import Incident, Shown, Verdict, Word


@dataclass(frozen=True, slots=True)
class GuardReport:
    """The guard's judgement of a candidate at the current phase and step.

    `verdict` `bad` means roll back now; `advance` `ok` means there is positive evidence that the
    candidate is not worse by this step's margin, `unknown` means hold. `waiting_for` says in one
    sentence which evidence is missing and, when traffic allows an estimate, how long it takes.
    `shown` is what bad verdicts look like in rows of the log, where somebody looked.
    """

    verdict: Word
    advance: Word
    verdicts: tuple[Verdict, ...]
    waiting_for: str = ""
    shown: tuple[Shown, ...] = ()


@dataclass(frozen=True, slots=True)
class Resources:
    """What the workers of a release use: the bytes of the largest in each minute, and the share of
    their time that they waited for a processor, the oldest first.

    `limit` is what one of them may have (None without a limit), `free` what the machine has left
    for each of them (None where that is not measured).
    """

    sizes: tuple[int, ...] = ()
    waits: tuple[float, ...] = ()
    limit: int | None = None
    free: float | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the monitors cannot see in rows, for the diagnosis.

    `boundary` is the deployment clock when the serving release last changed; `workers` how many
    it has, `golden_failures` those that do not reproduce the golden set; `restarts` workers
    restarted since; `candidate` whether a rollout is in canary; `host_pressure` what the machine
    lacks, in words, None where that is not measured; `starved` what its workers lacked in the last
    minute; `resources` what they use, None where there are none. `ahead` are seconds of the
    deployment's clock that did not pass: in a leap of it no label had time to come.
    """

    boundary: float | None = None
    workers: int = 0
    golden_failures: tuple[str, ...] = ()
    restarts: int = 0
    candidate: bool = False
    host_pressure: tuple[str, ...] | None = None
    starved: tuple[str, ...] = ()
    resources: Resources | None = None
    ahead: float = 0.0


@dataclass(frozen=True, slots=True)
class MonitorReport:
    """The monitors' verdicts and what they mean for incidents. `closed` holds incident ids, those
    included that are no longer one of their own: `folded` says which other one they are part of."""

    verdicts: Sequence[Verdict]
    opened: tuple[Incident, ...] = ()
    updated: tuple[Incident, ...] = ()
    closed: tuple[str, ...] = ()
    folded: Mapping[str, str] = field(default_factory=dict)
