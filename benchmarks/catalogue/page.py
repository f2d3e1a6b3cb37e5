"""The page: what the runs came to, in tables."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from catalogue.faults import CATALOGUE, Fault
from catalogue.life import Harm
from catalogue.scores import Outcome, quantile, right_actions
from catalogue.tables import DAY, DataSet
from trimtab.domain.deployment import MonitorPlan
from trimtab.domain.durations import span
from trimtab.domain.verdicts import Tier
from trimtab.judge.budget import TIMES, YEAR
from trimtab.stats.confidence import clopper_pearson

BLIND = Path(__file__).with_name("blind.md")
"""What was once found of faults that nothing knew: a record, which no later run repeats."""

INTRO = """\
# Diagnosis

<!-- Written by `scripts/bench diagnosis --write`. -->

Does the system notice what goes wrong, name the right cause first, and do what is right about it?
Each fault of a catalogue is let loose on real rows and real models at a random time, in a random
dose, {times} on each data set. The same command gives the same figures on any machine up to
the last digits of floating-point libraries: all time is virtual.

    {command}

**Real** are the rows, the models (gradient-boosted trees of scikit-learn, fitted to the first
part of each data set), the release profiles, and all of the control loop: observer, joiner,
monitors, guard of rollouts, diagnosis, `decide`, controller, journal and routing snapshot, on the
in-memory backends. A second release has taken over from a first one before the run begins.

**Simulated** are clients, gateway, workers, agent and host (`benchmarks/catalogue/world.py`).
They report what the real ones report: rows with the worker that answered, times and outcomes;
labels with their source; what a job computes again for a fifth of the
rows; the state, restarts, memory and golden replay of workers; pressure on
the host. They do it more cleanly than a production does: latencies are lognormal, requests
independent, 200 callers alike. Nothing else reaches the judge: not when, whether or what fault
there is.

Days of `flights` and `stops` are dealt at random to the reference and to the runs, so that
nothing but the fault is new in a run while days differ as they really do. Natural change is
another question.

{data}

*First* (with a 95 % interval) is the first cause of the incident that a person would look at: the
loudest since the fault began, of these the oldest, as it stands {after} after the fault. *Told* is
when the first message (page or ticket) went out; *right* when that incident first named a right
cause first. A fault with two right causes says below why. *Acted* is whether the action of that
incident is right for the fault, as listed under Actions.

Most of the catalogue and some of the causes were made side by side, so it is not a blind test of
them. {blind} faults, marked †, are: no cause or signal knew them when they were first let loose,
and nothing was changed for their sake. {once} others, marked ‡, once were; since then causes and
signals were changed because of what was missed of them. The column or category that most of these
are about is drawn by the run.
"""

MATRIX = """
## Confusion

Runs by true cause (rows) and first-ranked cause (columns); `–` is no incident at all. For faults
with two right causes the row is the first of them.

"""

ACTIONS = """
## Actions

Runs by true cause, with what should be done about it, in the words of the journal up to the colon,
and what was: the action of the incident that a person would look at.

"""

FAULTS = """
## By fault

*Wrong* is the share of wrong decisions before and after the fault began, *unserved* the share of
requests that failed or took more than 50 ms. Times are median / 90 % quantile over all data sets,
of runs in which it happened. The action is that of the first incident, in the words of the
journal up to the colon, with how often.

"""

NULLS = """
## False incidents

Runs in which nothing is wrong, and the time before each fault. The budget is the default of
`monitor.false_alarms`, {budget:g} pages a year, tickets twice and notes four times as often.

"""


@dataclass(frozen=True)
class Table:
    """A Markdown table; the first `texts` columns are texts."""

    head: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    texts: int = 1

    def __str__(self) -> str:
        rule = ["---"] * self.texts + ["--:"] * (len(self.head) - self.texts)
        lines = (self.head, rule, *self.rows)
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def page(outcomes: Sequence[Outcome], data: Sequence[DataSet], seeds: int, command: str) -> str:
    """Everything; `command` is what repeats it."""
    about = "\n".join(f"- `{each.name}`: {each.about}." for each in data)
    times = "once" if seeds == 1 else f"{seeds} times"
    after = " or ".join(dict.fromkeys(span(each.pace.after) for each in data))
    marks = Counter(fault.mark for fault in {each.fault for each in outcomes})
    blind, once = number(marks["†"]), number(marks["‡"])
    return (
        INTRO.format(data=about, times=times, after=after, command=command, blind=blind, once=once)
        + f"\n## Result\n\n{summary(outcomes)}"
        + f"\n{BLIND.read_text(encoding='utf-8')}"
        + MATRIX
        + str(confusion(outcomes))
        + ACTIONS
        + str(actions(outcomes))
        + NULLS.format(budget=MonitorPlan().false_alarms_per_year)
        + str(nulls(outcomes))
        + FAULTS
        + str(by_fault(outcomes))
        + _notes(outcomes)
    )


def summary(outcomes: Sequence[Outcome]) -> Table:
    """Harmful faults: by data set, together, and those of the blind test beside the others."""
    harmful = [each for each in outcomes if each.harmful]
    names = dict.fromkeys(each.data for each in harmful)
    parts = [(name, [each for each in harmful if each.data == name]) for name in names]
    known, blind = ([each for each in harmful if each.fault.blind is b] for b in (False, True))
    once = [each for each in harmful if each.fault.mark == "‡"]
    parts += [("all", harmful), ("all but †", known), ("‡", once), ("†", blind)]
    rows = [_summed(name, part) for name, part in parts if part]
    head = ("Data", "Harmful runs", "Told", "First", "In two", "Acted", "Until told", "Until right")
    return Table(head, rows)


def _summed(name: str, part: Sequence[Outcome]) -> tuple[str, ...]:
    return (
        name,
        str(len(part)),
        _share(part, lambda each: each.detected is not None),
        _share(part, lambda each: each.named_first, interval=True),
        _share(part, lambda each: each.named),
        _share(part, lambda each: each.acted),
        _times([each.detected for each in part]),
        _times([each.right for each in part]),
    )


def _share(part: Sequence[Outcome], true: Callable[[Outcome], bool], interval: bool = False) -> str:
    if not part:
        return "–"
    hits = sum(map(true, part))
    if not interval:
        return f"{hits / len(part):.1%}"
    low, high = clopper_pearson(hits, len(part))
    return f"{hits / len(part):.1%} [{low:.1%}, {high:.1%}]"


def _times(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    middle, late = quantile(known, 0.5), quantile(known, 0.9)
    return "–" if middle is None or late is None else f"{span(middle)} / {span(late)}"


def confusion(outcomes: Sequence[Outcome]) -> Table:
    """True cause by first-ranked cause."""
    seen = Counter((_true(each), _first(each)) for each in outcomes)
    true = sorted({row for row, _ in seen})
    first = sorted({column for _, column in seen} - {"–"})
    rows = [(f"{row}", *(str(seen[row, column] or "") for column in [*first, "–"])) for row in true]
    return Table(("True cause", *first, "–"), rows)


def actions(outcomes: Sequence[Outcome]) -> Table:
    """What should be done about each cause, and what was."""
    rows = []
    told = [each for each in outcomes if each.fault.causes]
    for cause, harmful in sorted({(_true(each), each.harmful) for each in told}):
        part = [each for each in told if (_true(each), each.harmful) == (cause, harmful)]
        right = dict.fromkeys(word for each in part for word in right_actions(each.fault))
        name = cause if harmful else f"{cause}, without harm"
        share = _share(part, lambda each: each.acted)
        rows.append((name, " or ".join(right), _actions(part), str(len(part)), share))
    return Table(("True cause", "Right action", "Action", "Runs", "Acted"), rows, 3)


def _true(outcome: Outcome) -> str:
    causes = outcome.fault.causes
    return causes[0].value if causes else "(nothing)"


def _first(outcome: Outcome) -> str:
    return outcome.first.value if outcome.first else "–"


def nulls(outcomes: Sequence[Outcome]) -> Table:
    """False incidents by tier, beside the number that the budget allows in as much time."""
    years = sum(each.quiet_seconds for each in outcomes) / YEAR
    false = Counter(tier for each in outcomes for tier in each.false)
    false.update(i.tier for each in outcomes if each.fault.null for i in each.opened)
    allowed = MonitorPlan().false_alarms_per_year
    tiers: tuple[Tier, ...] = ("page", "ticket", "note")
    rows = [
        (tier, f"{years * 365.25:,.0f}", f"{allowed * TIMES[tier] * years:.1f}", str(false[tier]))
        for tier in tiers
    ]
    return Table(("Tier", "Days watched", "Allowed in them", "Opened"), rows)


def by_fault(outcomes: Sequence[Outcome]) -> Table:
    """A row for each fault."""
    rows = []
    for fault in CATALOGUE:
        part = [each for each in outcomes if each.fault.name == fault.name]
        if part:
            rows.append(_row(fault, part))
    head = (
        "Fault",
        "What happens",
        "Right cause",
        "Action",
        "Runs",
        "Wrong",
        "Unserved",
        "Told",
        "First",
        "In two",
        "Until told",
        "Until right",
    )
    return Table(head, rows, 4)


def _row(fault: Fault, part: Sequence[Outcome]) -> tuple[str, ...]:
    named = part if fault.causes else ()
    return (
        f"`{fault.name}` {fault.mark}".rstrip(),
        fault.about,
        " or ".join(fault.causes) or "none",
        _actions(part),
        str(len(part)),
        _moved(part, lambda harm: harm.wrong / max(harm.rows, 1)),
        _moved(part, lambda harm: harm.unserved / max(harm.rows, 1)),
        _share(part, lambda each: each.detected is not None),
        _share(named, lambda each: each.named_first),
        _share(named, lambda each: each.named),
        _times([each.detected for each in part]),
        _times([each.right for each in part]),
    )


def _moved(part: Sequence[Outcome], rate: Callable[[Harm], float]) -> str:
    before = np.mean([rate(each.before) for each in part])
    during = np.mean([rate(each.during) for each in part])
    return f"{before:.1%} → {during:.1%}"


def _actions(part: Sequence[Outcome]) -> str:
    acted = Counter(_done(each) for each in part if each.lead)
    return ", ".join(f"{action} ({n})" for action, n in acted.most_common(3)) or "none"


def _done(outcome: Outcome) -> str:
    """The action up to its colon; of workers without their names."""
    done = outcome.lead.action.partition(":")[0] if outcome.lead else ""
    return "replace the worker" if done.startswith("replace ") else done or "none"


def _notes(outcomes: Sequence[Outcome]) -> str:
    told = dict.fromkeys(each.fault for each in outcomes if each.fault.either)
    lines = [f"- `{each.name}`: {' or '.join(each.causes)}, as {each.either}." for each in told]
    return "\nTwo causes are right for:\n\n" + "\n".join(lines) + "\n" if lines else ""


def number(n: int) -> str:
    """A small number at the beginning of a sentence."""
    words = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
    return words[n] if n < len(words) else str(n)


def line(outcome: Outcome) -> str:
    """A run in a line, for who watches."""
    told = "–" if outcome.detected is None else f"{outcome.detected / DAY:.2f} d"
    word = "right" if outcome.named_first else "second" if outcome.named else "not right"
    word = "nothing is wrong" if outcome.fault.null else word
    return f"{outcome.data} {outcome.fault.name}: told {told}, first {_first(outcome)} ({word})"
