"""`trimtab.monitor(...)`: reference and live data in, a report out."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import msgspec
import numpy as np

from trimtab import __version__, errors
from trimtab.domain.deployment import DeploymentSpec, MonitorPlan, ScalePlan, misread, unfounded
from trimtab.domain.names import meant, names_of
from trimtab.domain.profile import Metric, QualityProfile, ReferenceProfile
from trimtab.domain.records import label_text
from trimtab.domain.settings import AMOUNT, DEPLOYMENT, DURATION, LOSS, POSITIVE, SHARE
from trimtab.domain.settings import Kind as SettingKind
from trimtab.judge.measured import FEWEST_DAYS
from trimtab.judge.own_loss import OwnLoss
from trimtab.judge.profile import DAY
from trimtab.judge.promised import lacking, needed, promised
from trimtab.monitoring import columns, sources, timeline
from trimtab.monitoring.arrays import give_freed_back, keep_freed
from trimtab.monitoring.called_loss import CalledLoss, own_loss
from trimtab.monitoring.columns import Asked, Kind, Roles, unusable
from trimtab.monitoring.judging import Judging
from trimtab.monitoring.precount import Precount, Subject
from trimtab.monitoring.reference import Known, Meaning, read_known
from trimtab.monitoring.report import Report
from trimtab.monitoring.segments import FEWEST_TRIALS, Group, Sizes
from trimtab.monitoring.sources import Reader, Source
from trimtab.monitoring.timeline import Dates, Part, Timeline
from trimtab.monitoring.viewing import with_views
from trimtab.views.report import Clock, Size, Story, build_report

Quality = Literal["auto", "none"] | Metric
Names = str | tuple[str, ...] | list[str]


class MonitorOptions(TypedDict, total=False):
    """The optional arguments of `monitor`.

    What columns mean: `target` (the truth, missing where not known yet), `score` (probability of
    the positive class) or `prediction` (class or number), `time`, `segments` (text inputs),
    `groups` (protected inputs, compared for bias), `inputs` (default: every column without another
    meaning), `ignore`. `positive` is the label that a score is of, `threshold` where it is decided.

    How to judge: `false_alarms` ("1 per month"), `block` (a duration, or rows where there is no
    `time`), `input_tolerance`, `bias`, `quality`, `costs`, `loss`, `loss_bound`,
    `quality_tolerance`, as in `trimtab.toml`; `loss` may be a function too, whose parameters name
    the columns that it is given.

    `release` (`model@1`) stands for a reference, found in the project of `folder`.

    `name` heads the report, with `threads` more than one the next rows are read while some are
    counted, `narrate` hears one line per stage.
    """

    target: str
    score: str
    prediction: str
    time: str
    segments: Names
    groups: Names
    inputs: Names
    ignore: Names
    positive: str | float
    threshold: float
    false_alarms: str
    block: str | int
    input_tolerance: float
    bias: dict[str, float]
    quality: Quality | list[Metric] | tuple[Metric, ...]
    costs: dict[str, dict[str, float]]
    loss: str | Callable[..., Any]
    loss_bound: float
    quality_tolerance: float
    release: str
    folder: str | Path
    name: str
    threads: int
    narrate: Callable[[str], None]


def monitor(reference: Any = None, live: Any = None, **options: Unpack[MonitorOptions]) -> Report:
    """Judge `live` against `reference`, as the served loop does, and say what was found.

    Each is a pandas or polars frame, an Arrow table, a DuckDB relation, or the path, pattern or
    paths of Parquet, Arrow or CSV files. With `release` its profile is the reference, and none is
    given. Raises `Usage`: TT-102 for an option of the wrong form, TT-210 without such a file,
    TT-910 for data that cannot be judged; and what finding a release raises.
    """
    _check_names(options)
    threads = options.get("threads", len(os.sched_getaffinity(0)))
    keep_freed()
    source = _opened(live, "live", options)
    with Reader(threads) as reader:
        case = _case(reference, source, options, reader)
        options.get("narrate", _nothing)(f"judging {source.rows:,} rows")
        story = case.story(options.get("block"), reader)
    return Report(build_report(story), _library(live))


def _case(reference: Any, live: Source, options: MonitorOptions, reader: Reader) -> "Case":
    release = options.get("release")
    if release is None:
        return _against_data(reference, live, options, reader)
    if reference is None:
        # Only here is a state folder opened: the database behind it is not loaded for tables.
        from trimtab.monitoring.served import known_of

        name, known = known_of(release, options.get("folder"))
        roles = columns.roles_against(_asked(options), known.profile, live.schema)
        title = options.get("name", "live data")
        dates = _dates(live, roles, reader)
        return Case(title, live, roles, known, _plan(options), dates, name, _loss(options))
    raise _wrong("release", "a reference was given too, and both is one too many", "give one")


def _against_data(reference: Any, live: Source, options: MonitorOptions, reader: Reader) -> "Case":
    source = _opened(reference, "reference", options)
    roles = columns.roles(_asked(options), source.schema, live.schema)
    dates = _dates(live, roles, reader)
    options.get("narrate", _nothing)(f"reading {source.rows:,} rows of reference")
    plan = _plan(options)
    known = read_known(source, roles, _meaning(options, plan))
    title, loss = options.get("name", "live data"), _loss(options)
    return Case(title, live, roles, known, plan, dates, loss=loss)


def _opened(data: Any, what: str, options: MonitorOptions) -> Source:
    asked = _asked(options)
    meant = [asked.target, asked.score, asked.prediction, asked.time]
    return sources.opened(data, what, asked.ignore, meant)


def _dates(live: Source, roles: Roles, reader: Reader) -> Callable[[], Dates] | None:
    """Asks for the times of a table, which are read while the reference is learned."""
    if roles.time is None:
        return None
    return reader.begin(partial(timeline.read_dates, live, roles.time))


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be judged: a table, what its columns mean, what is known, and how strictly.

    `dates` tells the times of the table, None where it has none.
    """

    name: str
    live: Source
    roles: Roles
    known: Known
    plan: MonitorPlan
    dates: Callable[[], Dates] | None
    release: str | None = None
    loss: OwnLoss | CalledLoss | None = None

    def story(self, block: str | float | None, reader: Reader) -> Story:
        """Count and judge every block in order. Raises `Usage` TT-102, TT-910."""
        line = self._timeline(block)
        groups = self.plan.groups if self.roles.answer is not None else ()
        plan = msgspec.structs.replace(self.plan, block_seconds=line.seconds, groups=groups)
        spec = DeploymentSpec(
            name=self.name, model=self.name, clock="event", scale=ScalePlan(max=1), monitor=plan
        )
        signature, profile = self.known.signature, self._profile()
        qualities = promised(plan, profile, signature)
        subject = self._subject(profile, qualities)
        judging = Judging(spec, subject, line.since, line.blocks)
        quality = next(iter(qualities), None)
        sizes = Sizes(signature, quality)
        precount = Precount(judging.monitors, subject)
        invalid = 0
        # Each of the two threads keeps what it freed.
        give_freed_back()
        reader.begin(give_freed_back)()
        parts = timeline.parts(self.live, line, self._kinds())
        for raw in reader.ahead(parts):
            judging.close(raw.complete)
            part, refused = self._cleaned(with_views(raw, profile.inputs))
            invalid += refused
            truth, segments = precount.truth(part), precount.segments(part)
            judging.take(part.number, precount.count(part, segments, truth))
            sizes.add(segments, precount.score(part), truth)
        judging.close()
        return Story(
            name=self.name,
            version=__version__,
            profile=profile,
            quality=quality,
            false_alarms_per_year=plan.false_alarms_per_year,
            clock=Clock(
                line.seconds,
                line.first,
                line.since,
                line.until,
                line.rows or None,
            ),
            rows=self.live.rows,
            verdicts=judging.verdicts,
            incidents=judging.incidents,
            moments=judging.moments,
            columns=judging.seen.columns,
            score=judging.seen.score,
            cohorts=judging.seen.cohorts,
            sizes=[_size(name, group, quality) for name, group in sizes.groups.items()],
            groups=judging.groups,
            unwatched=self._unwatched(lacking(plan, profile, signature), quality),
            notes=self._notes(line, invalid),
            release=self.release,
        )

    def _subject(self, profile: ReferenceProfile, qualities: tuple[QualityProfile, ...]) -> Subject:
        watched = any(each.metric == "loss" for each in qualities)
        return Subject(
            self.known.signature,
            profile,
            self.release or "",
            self.roles.answer,
            self.roles.target,
            self.loss if watched else None,
        )

    def _profile(self) -> ReferenceProfile:
        """What is known of the columns that the table has: without answers, inputs alone."""
        known = self.known.profile
        if self.roles.answer is not None:
            return known
        return msgspec.structs.replace(
            known, score=None, positive_rate=None, quality=(), calibration=None, estimate=None
        )

    def _timeline(self, block: str | float | None) -> Timeline:
        column = self.roles.time
        if column is None or self.dates is None:
            rows = None if block is None else _parsed("block", POSITIVE, block)
            return timeline.by_rows(self.live.rows, rows)
        seconds = None if block is None else _parsed("block", DURATION, block)
        if self.known.profile.days >= FEWEST_DAYS:
            seconds = max(seconds or DAY, DAY)
        line = timeline.by_time(self.live, column, seconds, self.dates())
        since = self.known.profile.since
        if since is not None and line.until < since:
            raise unusable(
                "live", "it ends before the reference begins", "is live given as the reference?"
            )
        return line

    def _kinds(self) -> dict[str, Kind]:
        origins = [column.origin for column in self.known.profile.inputs]
        kinds = {origin: self.roles.inputs[origin] for origin in origins}
        named = self.known.signature.task == "multiclass"
        numeric = self.known.signature.task == "regression"
        if self.roles.answer is not None:
            kinds[self.roles.answer] = "label" if named else "number"
        if self.roles.target is not None:
            kinds[self.roles.target] = "number" if numeric else "label"
        return kinds

    def _cleaned(self, part: Part) -> tuple[Part, int]:
        """A probability outside [0, 1] is none: it counts as missing, and is told."""
        if self.known.signature.task != "binary" or self.roles.answer is None:
            return part, 0
        score = np.asarray(part.columns[self.roles.answer], dtype=np.float64)
        wrong = (score < 0.0) | (score > 1.0)
        if not wrong.any():
            return part, 0
        columns = {**part.columns, self.roles.answer: np.where(wrong, np.nan, score)}
        return replace(part, columns=columns), int(wrong.sum())

    def _unwatched(self, refused: dict[str, str], quality: QualityProfile | None) -> dict[str, str]:
        told = {f"input:{name}": reason for name, reason in self.known.unwatched.items()}
        if self.roles.answer is None:
            told["prediction"] = "no score or prediction was given"
            told |= {"bias": "there are no answers to compare"} if self.plan.groups else {}
        if quality is None and not refused:
            lack = "labels of the reference" if self.roles.answer is not None else "answers"
            off = self.plan.quality == "none"
            told["quality"] = "switched off" if off else f"there are no {lack} to compare with"
        return told

    def _notes(self, line: Timeline, invalid: int) -> list[str]:
        notes = list(self.roles.notes)
        if line.undated:
            notes.append(f"{line.undated:,} rows without a time were left out")
        if invalid:
            notes.append(f"{invalid:,} scores outside [0, 1] count as missing")
        if not line.ordered:
            notes.append(
                "rows are not in the order of their time: broken feeds are told later, and by less"
            )
        until = self.known.profile.until
        if line.column is not None and until is not None and line.since <= until:
            notes.append("live begins before the reference ends")
        if line.column is None:
            notes.append(
                f"without a time column, {line.rows:,} rows are a block, and a block counts as a "
                "day in the budget of false alarms"
            )
        return notes


def _size(name: str, group: Group, quality: QualityProfile | None) -> Size:
    share = group.positive / group.decided if group.decided >= FEWEST_TRIALS else None
    good = None if quality is None else group.quality(quality)
    return Size(name, group.rows, group.labelled, share, good)


def _asked(options: MonitorOptions) -> Asked:
    return Asked(
        target=options.get("target"),
        score=options.get("score"),
        prediction=options.get("prediction"),
        time=options.get("time"),
        segments=names_of(options.get("segments")),
        groups=names_of(options.get("groups")),
        inputs=names_of(options.get("inputs")),
        ignore=names_of(options.get("ignore")),
    )


def _meaning(options: MonitorOptions, plan: MonitorPlan) -> Meaning:
    positive = options.get("positive")
    return Meaning(
        binary=options.get("score") is not None,
        positive=None if positive is None else label_text(positive),
        threshold=_parsed("threshold", SHARE, options.get("threshold", 0.5)),
        loss=_loss(options),
        metrics=needed(plan),
    )


def _plan(options: MonitorOptions) -> MonitorPlan:
    """The plan as `trimtab.toml` would say it; labels are not waited for: all there are are there.

    Raises `Usage` TT-102."""
    given: dict[str, Any] = {
        "maturity_seconds": 0.0,
        "segments": names_of(options.get("segments")),
        "groups": names_of(options.get("groups")),
    }
    loss = _loss(options)
    given["loss"] = None if loss is None else loss.text
    for setting in DEPLOYMENT:
        name = OPTIONS.get(setting.key)
        if name is not None and options.get(name) is not None:
            field = setting.field.removeprefix("monitor.")
            given[field] = _parsed(name, setting.kind, options.get(name))
    plan = MonitorPlan(**given)
    unfit = unfounded(plan)
    if unfit:
        raise _wrong("quality", unfit, 'costs={"yes": {"no": 1}, "no": {"yes": 5}}')
    return plan


def _loss(options: MonitorOptions) -> OwnLoss | CalledLoss | None:
    """A loss of the user's own. Raises `Usage` TT-102."""
    given = options.get("loss")
    if given is None:
        return None
    problem = misread(given) if isinstance(given, str) else ""
    if problem:
        raise _wrong("loss", problem, f"loss={LOSS.example}")
    return own_loss(given, _parsed("loss_bound", AMOUNT, options.get("loss_bound", 1.0)))


OPTIONS = {
    "monitor.false_alarms": "false_alarms",
    "monitor.bias": "bias",
    "monitor.quality": "quality",
    "monitor.costs": "costs",
    "monitor.loss_bound": "loss_bound",
    "monitor.tolerance": "quality_tolerance",
    "monitor.input_tolerance": "input_tolerance",
}
"""Settings of a deployment that are options here, by their key."""


def _parsed(name: str, kind: SettingKind, value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    try:
        return kind.parse(value)
    except ValueError:
        raise _wrong(name, f"{value!r} is not {kind.name}", f"{name}={kind.example}") from None


def _check_names(options: MonitorOptions) -> None:
    known = MonitorOptions.__annotations__
    for name in options:
        if name not in known:
            raise _wrong(name, "there is no such option", meant(name, known, "options"))


def _wrong(name: str, problem: str, hint: str) -> errors.Usage:
    return errors.Usage(errors.BAD_VALUE, "monitor", name, problem, "nothing was judged", hint)


def _library(live: Any) -> str:
    return type(live).__module__.partition(".")[0]


def _nothing(line: str) -> None:
    """Tell nobody."""
