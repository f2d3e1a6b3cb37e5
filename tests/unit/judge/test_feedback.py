"""Labels that are at fault: useless, contradictory, later or sooner than they were."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, labelled, profile, rows, spec

from trimtab.domain.records import Fate, Heard, Labelled
from trimtab.domain.verdicts import Cause, Incident, Verdict
from trimtab.judge.incidents import reconcile
from trimtab.judge.monitors import Monitors
from trimtab.judge.reports import Surroundings

from .test_incidents import case, causes, verdict

FIRST = 20
KNOWN = profile()


@dataclass
class Mail:
    """Days of labels that come as they are told to."""

    day: int = FIRST
    incidents: dict[str, Incident] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plan = spec(block_seconds=DAY, maturity_seconds=DAY)
        self.monitors = Monitors.start(plan, BINARY, KNOWN, STABLE.digest, FIRST * DAY)

    def live(
        self,
        days: int,
        *,
        fate: Fate = Fate.FRESH,
        share: float = 0.0,
        delay: float = 3600.0,
        n: int = 400,
    ) -> "Mail":
        """Days on which a share of the labels has this fate, and all come after `delay`."""
        for _ in range(days):
            given = rows(n, seed=self.day, start=self.day * DAY, seconds=DAY / 4)
            self.monitors.observe(given)
            truth = labelled(given, seed=self.day)
            at = given.fixed["event_time"] + delay
            self.monitors.learn(Labelled(given, truth.label, at))
            fates = np.where(np.arange(n) < share * n, fate, Fate.FRESH).astype(object)
            self.monitors.hear(Heard(at, fates))
            self.day += 1
            self.judge()
        return self

    def judge(self) -> None:
        clock = (self.day + 1) * DAY + 3600.0
        report = self.monitors.assess(clock, tuple(self.incidents.values()), Surroundings(0.0))
        self.verdicts = {each.signal: each for each in report.verdicts}
        for incident in (*report.opened, *report.updated):
            self.incidents[incident.id] = incident
        for closed in report.closed:
            del self.incidents[closed]


def test_labels_that_come_as_ever_are_fine_and_their_delay_is_told() -> None:
    mail = Mail().live(20, fate=Fate.UNKNOWN, share=0.1)
    assert mail.verdicts["feedback"].verdict == "ok"
    assert "labels come after about" in mail.verdicts["feedback"].reason
    assert not mail.incidents


@pytest.mark.parametrize(
    ("fault", "signal", "words"),
    [
        ({"fate": Fate.UNKNOWN, "share": 0.7}, "feedback:useless", "70% of the labels repeat"),
        ({"fate": Fate.REPEATED, "share": 0.7}, "feedback:useless", "70% of the labels repeat"),
        (
            {"fate": Fate.CONTRADICTED, "share": 0.3},
            "feedback:contradicted",
            "30% of the labels contradict an earlier label",
        ),
        ({"delay": 36_000.0}, "feedback:late", "100% of the labels come later"),
        ({"delay": 60.0}, "feedback:early", "100% of the labels come sooner"),
    ],
)
def test_labels_at_fault_are_an_incident_that_closes_when_they_mend(
    fault: dict[str, object], signal: str, words: str
) -> None:
    mail = Mail().live(10).live(5, **fault)  # type: ignore[arg-type]
    assert words in mail.verdicts[signal].reason
    (incident,) = mail.incidents.values()
    assert causes(incident) == [Cause.LABEL_FAULT]
    assert Cause.CONCEPT_DRIFT in {each.cause for each in incident.ruled_out}
    mail.live(12)
    assert mail.verdicts["feedback"].verdict == "ok"
    assert not mail.incidents


def test_before_the_first_labels_mature_late_ones_are_only_still_to_come() -> None:
    mail = Mail().live(1).live(4, delay=4.0 * 3600.0)
    assert mail.verdicts["feedback"].verdict == "ok"


def test_a_few_labels_say_nothing() -> None:
    mail = Mail().live(10, n=10, fate=Fate.CONTRADICTED, share=1.0)
    assert mail.verdicts["feedback"].verdict == "ok"
    assert "as they did" in mail.verdicts["feedback"].reason


def test_quality_by_labels_that_are_at_fault_is_blamed_on_the_labels() -> None:
    fallen = verdict("quality")
    found = reconcile(case(), [fallen, verdict("feedback:contradicted")], ())
    blamed = next(each for each in found.opened if "quality" in each.signals)
    assert causes(blamed)[0] is Cause.LABEL_FAULT
    (sound,) = reconcile(case(), [fallen, verdict("feedback", "ok")], ()).opened
    assert causes(sound) == [Cause.CONCEPT_DRIFT]
    assert Cause.LABEL_FAULT in {each.cause for each in sound.ruled_out}
