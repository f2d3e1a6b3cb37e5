"""Labels that are at fault: useless, contradictory, later or sooner than they were."""

from dataclasses import dataclass

import numpy as np
import pytest
from tests.support.followed import Followed
from tests.support.traffic import BINARY, DAY, STABLE, labelled, profile, rows, spec

from trimtab.domain.records import Fate, Heard, Labelled
from trimtab.domain.signature import Signature, Task
from trimtab.domain.verdicts import Cause
from trimtab.judge.incidents import reconcile
from trimtab.judge.monitors import Monitors
from trimtab.judge.quality import usable
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.feedback import SOURCES, Feedback

from .test_incidents import case, causes, verdict

FIRST = 20
KNOWN = profile()


@dataclass
class Mail(Followed):
    """Days of labels that come as they are told to."""

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
        senders: int = 0,
        odd: float = 0.0,
    ) -> "Mail":
        """Days on which a share of the labels has this fate, and all come after `delay`."""
        for _ in range(days):
            given = rows(n, seed=self.day, start=self.day * DAY, seconds=DAY / 4)
            self.monitors.observe(given)
            truth = labelled(given, seed=self.day)
            at = given.fixed["event_time"] + delay
            names = np.array([f"s{each % max(senders, 1)}" for each in range(n)], dtype=object)
            source = names if senders else None
            self.monitors.learn(Labelled(given, truth.label, at, source))
            fates = np.where(np.arange(n) < share * n, fate, Fate.FRESH).astype(object)
            label = np.where(np.arange(n) < odd * n, "yes", truth.label).astype(object)
            self.monitors.hear(Heard(at, fates, label, names, label))
            self.day += 1
            self.judge()
        return self


def test_labels_of_another_clock_say_nothing_of_how_long_labels_take() -> None:
    mail = Mail().live(8).live(3, delay=-2.0 * DAY)
    assert mail.verdicts["feedback"].verdict == "ok"


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
        ({"odd": 0.5}, "feedback:odd", "50% of the labels are nothing that the release answers"),
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


def test_labels_that_another_sender_confirms_are_told_and_no_fault() -> None:
    mail = Mail().live(10).live(10, fate=Fate.CONFIRMED, share=0.7)
    told = mail.verdicts["feedback"]
    assert told.verdict == "ok"
    assert told.reason.endswith("; 70% of them confirm what another sender said")
    assert not mail.incidents
    mail.live(1)
    assert "confirm" not in mail.verdicts["feedback"].reason


def test_labels_of_one_class_that_others_deny_are_at_fault_however_rare_it_is() -> None:
    family = Feedback(Target(spec(block_seconds=DAY), BINARY, KNOWN, STABLE.digest, 0.0))
    first = np.repeat(np.array(["0", "1", "1"], dtype=object), [600, 20, 15])
    fates = np.repeat(np.array([Fate.FRESH, Fate.CONTRADICTED], dtype=object), [620, 15])
    source = np.repeat(np.array(["warehouse", "ledger"], dtype=object), [620, 15])
    for day in range(8):
        at = np.full(first.size, (day + 0.5) * DAY)
        come = Heard(at, fates, first, source, np.where(fates == Fate.FRESH, first, "0"))
        family.take(family.hear(come.take(np.arange(620 if day < 4 else 635))))
        family.close((day + 2) * DAY, Breaks())
        assert (family.verdicts()[0].verdict == "bad") is (day >= 4)
    (denied,) = family.verdicts()
    assert (denied.signal, denied.scope) == ("feedback:denied 1", {"labels": "denied 1"})
    assert "75% of the labels that say 1 are contradicted by later ones, mostly from ledger" in (
        denied.reason
    )


@pytest.mark.parametrize("rare", [20, 6])
def test_labels_of_one_class_that_come_when_nobody_waits_any_more_are_told_however_rare_it_is(
    rare: int,
) -> None:
    family = Feedback(Target(spec(block_seconds=DAY), BINARY, KNOWN, STABLE.digest, 0.0))
    said = np.repeat(np.array(["0", "1"], dtype=object), [600, rare])
    source = np.full(said.size, "warehouse", dtype=object)
    for day in range(24):
        fate = Fate.FRESH if day < 12 else Fate.UNKNOWN
        fates = np.repeat(np.array([Fate.FRESH, fate], dtype=object), [600, rare])
        at = np.full(said.size, (day + 0.5) * DAY)
        family.take(family.hear(Heard(at, fates, said, source, said)))
        family.close((day + 2) * DAY, Breaks())
        assert day >= 12 or family.verdicts()[0].verdict != "bad"
    (stray,) = family.verdicts()
    assert stray.signal == "feedback:strays 1"
    assert "100% of the labels that say 1 name a prediction that is not known" in stray.reason
    assert stray.since == 12 * DAY


@pytest.mark.parametrize("rare", [20, 6])
def test_a_class_that_comes_as_corrections_of_others_is_at_fault_however_rare_it_is(
    rare: int,
) -> None:
    family = Feedback(Target(spec(block_seconds=DAY), BINARY, KNOWN, STABLE.digest, 0.0))
    said = np.repeat(np.array(["0", "1"], dtype=object), [600, rare])
    for day in range(24):
        fates = np.full(said.size, Fate.FRESH, dtype=object)
        early = (said == "1") & (np.arange(said.size) % 2 == 0) & (day >= 12)
        fates[early] = Fate.CONTRADICTED
        at = np.full(said.size, (day + 0.5) * DAY)
        first, source = np.where(early, "0", said), np.full(said.size, "warehouse", dtype=object)
        family.take(family.hear(Heard(at, fates, first, source, said)))
        family.close((day + 2) * DAY, Breaks())
        assert day >= 12 or family.verdicts()[0].verdict != "bad"
    (corrected,) = family.verdicts()
    assert corrected.signal == "feedback:corrections 1"
    assert "50% of the labels that say 1 correct what was said before" in corrected.reason
    assert corrected.since == 12 * DAY


def test_before_the_first_labels_mature_late_ones_are_only_still_to_come() -> None:
    mail = Mail().live(1).live(4, delay=4.0 * 3600.0)
    assert mail.verdicts["feedback"].verdict == "ok"


def sent(errs: dict[str, int], day: int, n: int = 100) -> Labelled:
    """A day's labels that are what was decided, but for the first `errs` of a sender."""
    given = rows(n * len(errs), seed=day, start=day * DAY, seconds=DAY / 4)
    decided = given.outputs["score"] >= BINARY.threshold
    wrong = np.concatenate([np.arange(n) < count for count in errs.values()])
    label = np.where(decided ^ wrong, "1", "0").astype(object)
    source = np.repeat(np.array(list(errs), dtype=object), n)
    return Labelled(given, label, given.fixed["event_time"] + 3600.0, source)


@pytest.mark.parametrize(
    ("errs", "accused"),
    [
        ({"a": 90, "b": 0}, ["feedback:from a"]),
        ({"a": 90, "b": 90}, ["feedback"]),
        ({"a": 90}, ["feedback"]),
        ({"a": 5, "b": 0}, ["feedback"]),
    ],
)
def test_a_sender_errs_when_its_labels_change_and_those_of_others_do_not(
    errs: dict[str, int], accused: list[str]
) -> None:
    family = Feedback(Target(spec(block_seconds=DAY), BINARY, KNOWN, STABLE.digest, 0.0))
    for day in range(10):
        now = errs if day > 6 else dict.fromkeys(errs, 0)
        family.take(family.learn(sent(now, day)))
        family.close((day + 2) * DAY, Breaks())
    assert [each.signal for each in family.verdicts()] == accused
    reason = family.verdicts()[0].reason
    assert ("labels from a say otherwise" in reason) == (accused != ["feedback"])


@pytest.mark.parametrize(
    ("before", "after", "accused"),
    [
        ({"a": 10}, {"a": 10, "b": 80}, ["feedback:from b"]),
        ({"a": 10}, {"a": 10, "b": 30}, ["feedback"]),
        ({"a": 10}, {"a": 80, "b": 80}, ["feedback"]),
        ({"a": 10, "b": 80}, {"a": 10, "b": 80}, ["feedback"]),
        ({"a": 10}, {"b": 80}, ["feedback"]),
    ],
)
def test_a_sender_without_a_past_is_held_against_the_others(
    before: dict[str, int], after: dict[str, int], accused: list[str]
) -> None:
    family = Feedback(Target(spec(block_seconds=DAY), BINARY, KNOWN, STABLE.digest, 0.0))
    for day in range(14):
        family.take(family.learn(sent(after if day > 6 else before, day)))
        family.close((day + 2) * DAY, Breaks())
    assert [each.signal for each in family.verdicts()] == accused


def test_of_more_senders_than_are_told_apart_the_first_are() -> None:
    mail = Mail().live(4, n=1600, senders=SOURCES + 4)
    assert mail.verdicts["feedback"].verdict == "ok"
    mail.live(3, senders=2)
    family = next(each for each in mail.monitors.families if isinstance(each, Feedback))
    assert len(family.state.sources) == SOURCES


def test_labels_of_numbers_have_no_senders_that_err() -> None:
    numbers = Signature((), (), task="regression")
    family = Feedback(Target(spec(), numbers, KNOWN, STABLE.digest, 0.0))
    given = rows(20)
    source = np.array(["s"] * 20, dtype=object)
    label = np.array(["1.5"] * 20, dtype=object)
    told = family.learn(Labelled(given, label, given.fixed["event_time"], source))
    assert all(not each.sources for each in told.values())


@pytest.mark.parametrize(
    ("task", "labels", "odd"),
    [
        ("binary", ["0", "1", "yes", "1.5", "", None], 4),
        ("regression", ["0", "-1.5e3", "many", "nan", "inf", None], 4),
        ("multiclass", ["0", "1", "new", None], 0),
        ("binary", [], 0),
    ],
)
def test_odd_are_labels_that_quality_cannot_be_measured_by(
    task: Task, labels: list[str | None], odd: int
) -> None:
    """One of several classes that is new is a wrong answer, which quality tells of."""
    signature = Signature((), (), task, () if task == "regression" else ("0", "1"))
    label = np.array(labels, dtype=object)
    assert (~usable(signature, label)).sum() == odd


def test_labels_that_always_were_odd_in_part_are_as_usual() -> None:
    assert Mail().live(12, odd=0.5).verdicts["feedback"].verdict == "ok"


def test_a_few_labels_say_nothing() -> None:
    mail = Mail().live(10, n=10, fate=Fate.CONTRADICTED, share=1.0, senders=1)
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


def test_scores_that_come_true_otherwise_by_labels_at_fault_are_no_drift_of_the_concept() -> None:
    moved = verdict("calibration")
    found = reconcile(case(), [moved, verdict("feedback:denied 1")], ())
    blamed = next(each for each in found.opened if "calibration" in each.signals)
    assert causes(blamed)[0] is Cause.LABEL_FAULT
    (sound,) = reconcile(case(), [moved, verdict("feedback", "ok")], ()).opened
    assert causes(sound) == [Cause.CONCEPT_DRIFT]
    (inputs,) = reconcile(case(), [verdict("input:x")], ()).opened
    assert Cause.LABEL_FAULT not in {*causes(inputs), *(each.cause for each in inputs.ruled_out)}
