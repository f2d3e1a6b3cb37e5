"""The counts of a part for every family of signals, as `Monitors.take` takes them.

Inputs, feeds, predictions and cohorts are counted here by the fast way; whatever else is watched
counts the rows itself, from columns that are made only when they are asked for.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import (
    CodedTexts,
    Floats,
    Ints,
    Labelled,
    Lazy,
    Maker,
    Outcome,
    Rows,
    Texts,
    kept,
)
from trimtab.domain.signature import Signature
from trimtab.judge.monitors import Counted as Taken
from trimtab.judge.monitors import Monitors
from trimtab.judge.own_loss import Losing, Row
from trimtab.judge.quality import Told
from trimtab.judge.signals.calibration import Calibration, Matured
from trimtab.judge.signals.columns import hours_of
from trimtab.judge.signals.counts import Bins, Tally, merged
from trimtab.judge.signals.crowded import Crowded
from trimtab.judge.signals.estimate import Estimated
from trimtab.judge.signals.estimate_counts import Members
from trimtab.judge.signals.estimate_counts import told as told_of
from trimtab.judge.signals.family import Family
from trimtab.judge.signals.inputs import Columns, Inputs
from trimtab.judge.signals.multivariate import Multivariate
from trimtab.judge.signals.parts import Brought
from trimtab.judge.signals.prediction import Answers, Prediction
from trimtab.judge.signals.quality import Cohort, Quality
from trimtab.judge.signals.registry import SERVED
from trimtab.judge.signals.segments import Lost
from trimtab.judge.signals.segments import Segments as Parted
from trimtab.judge.signals.still import Spots, Still
from trimtab.judge.signals.upstream import Feeds, Upstream
from trimtab.monitoring import counting
from trimtab.monitoring.arrays import Coded
from trimtab.monitoring.counting import ColumnCounts, Division, Mask, Segments, Vocabulary
from trimtab.monitoring.estimating import ByScore
from trimtab.monitoring.timeline import Part
from trimtab.stats import edges
from trimtab.stats.edges import Numbers
from trimtab.stats.limits import limits

SCORED = 1_024
"""Rows of what was read at once, at least, of which more is asked than counts of each column: how
they go together, and which values they hold."""


@dataclass(frozen=True)
class Truth:
    """Rows of a part whose label is known (`mask`).

    `told` are their scores with their labels where the task is binary, None for other tasks.
    """

    mask: NDArray[np.bool_]
    told: Told | None
    _made: Callable[[], Labelled]
    _lost: Callable[[Labelled], Floats] | None = None

    @cached_property
    def known(self) -> Labelled:
        """The rows with their labels as text, made when somebody asks."""
        return self._made()

    @cached_property
    def lost(self) -> Floats | None:
        """What the rows lose by a loss of the user's own, in units of its bound."""
        return None if self._lost is None else self._lost(self.known)


class Looked(NamedTuple):
    """A part as rows of the request log, a `few` of these at even distances, its columns as they
    were counted, and, where the quality of a binary task can be estimated, the cell of each row and
    who is in which segment. `parts` are the rows of parts in which feeds are watched though nobody
    named them, `still` which numbers stand still in these."""

    rows: Rows
    few: Rows
    columns: dict[str, ColumnCounts]
    cells: Ints | None
    members: list[Members]
    parts: dict[str, int]
    still: Still


@dataclass(frozen=True, slots=True)
class Subject:
    """What is monitored: the profile, and the columns of the answer and the truth, if any."""

    signature: Signature
    profile: ReferenceProfile
    release: str
    answer: str | None
    target: str | None
    loss: Losing | None = None
    """A loss of the user's own, if it is watched."""


class Precount:
    """Counts parts for the families of `monitors`.

    One thread counts: what numpy does to some thousand rows is over before another thread has
    taken the interpreter over.
    """

    def __init__(self, monitors: Monitors, subject: Subject) -> None:
        self._subject = subject
        self._families = [each for each in monitors.families if not isinstance(each, tuple(SERVED))]
        self._upstream = next((f for f in self._families if isinstance(f, Upstream)), None)
        watches = [] if self._upstream is None else self._upstream.state.watches
        self._declared = _by_column(sorted({watch.segment for watch in watches} - {""}))
        self._unnamed = _by_column([] if self._upstream is None else self._upstream.unnamed.names)
        profile = subject.profile
        self._inputs = {column.name: column for column in profile.inputs}
        every = [*profile.inputs, *([profile.score] if profile.score is not None else [])]
        self._vocabularies = {
            column.name: Vocabulary(column) for column in every if column.kind == "categorical"
        }
        self._by_score = self._scored()

    def _scored(self) -> ByScore | None:
        """How rows are counted to estimate the quality of a binary task."""
        profile, signature = self._subject.profile, self._subject.signature
        family = next((each for each in self._families if isinstance(each, Estimated)), None)
        if profile.estimate is None or family is None or signature.task != "binary":
            return None
        known = profile.inputs, self._vocabularies, signature.threshold
        return ByScore(profile.estimate, *known, family.members)

    def count(self, part: Part, segments: Segments, truth: Truth | None) -> Taken:
        """What `Monitors.take` takes of these rows; `segments` are what `self.segments` says."""
        cells, scored = self._cells(part), self._by_score
        members = [] if scored is None or cells is None else scored.members(part.columns)
        unnamed = segments.unnamed
        sizes = {} if unnamed is None else dict(zip(unnamed.names, unnamed.rows, strict=True))
        still = self._still(part, unnamed)
        columns = self._columns(part, segments)
        few = self.rows(part.sample(SCORED))
        seen = Looked(self.rows(part), few, columns, cells, members, sizes, still)
        counted: dict[str, Mapping[int, Any]] = {}
        for family in self._families:
            made = self._counted(family, part, seen)
            if truth is not None:
                made = merged(made, self._learned(family, part, seen, truth))
            counted[family.name] = made
        return counted

    def _counted(self, family: Family[Any, Any], part: Part, seen: Looked) -> Mapping[int, Any]:
        """What `family.count` would count."""
        match family:
            case Inputs():
                bins = {name: each.bins for name, each in seen.columns.items()}
                made: Any = Columns(bins, hours_of(self._subject.profile, part.times))
            case Upstream():
                made = _feeds(seen)
            case Prediction():
                made = self._answers(part)
            case Quality():
                made = Cohort(predicted=len(part))
            case Calibration():
                made = Matured(predicted=len(part))
            case Multivariate() if not family.streams:
                return {}
            case Multivariate():
                made = family.scored(seen.few, len(part))
            case Crowded():
                made = family.crowd(seen.few)
            case Estimated() if seen.cells is not None and self._by_score is not None:
                values = self._with_answer(part)
                made = self._by_score.counted(values, seen.cells, seen.columns, seen.members)
            case _:
                return family.count(seen.rows)
        return {part.number: made}

    def _learned(
        self, family: Family[Any, Any], part: Part, seen: Looked, truth: Truth
    ) -> Mapping[int, Any]:
        """What `family.learn` would count."""
        signature, told = self._subject.signature, truth.told
        match family:
            case Inputs() | Upstream() | Crowded() | Prediction():
                return {}
            case Quality() if truth.lost is not None:
                made: Any = Cohort.of(family.qualities, signature, truth.known, truth.lost)
            case Quality() if told is not None and family.qualities:
                made = Cohort.told(family.qualities, signature.threshold, told)
            case Calibration() if told is not None:
                made = Matured.told(told)
            case Parted() if told is not None and seen.cells is not None:
                made = self._lost(family, part, told, truth.mask, seen.cells)
            case Estimated() if told is not None and self._by_score is not None:
                assert seen.cells is not None
                usable = ~np.isnan(told.score)
                cells = kept(kept(seen.cells, truth.mask), usable)
                outcome = kept(told.positive, usable).astype(np.float64)
                every = [each.take(truth.mask).take(usable) for each in seen.members]
                made = told_of(every, cells, outcome, self._by_score.size)
            case _:
                return family.learn(truth.known)
        return {part.number: made}

    def _lost(
        self, family: Parted, part: Part, told: Told, mask: NDArray[np.bool_], cells: Ints
    ) -> Lost:
        scored = self._by_score
        assert scored is not None
        lost = told.losses("error", self._subject.signature.threshold)
        usable = ~np.isnan(lost)
        kind = 2 * kept(kept(cells, mask), usable) + kept(lost, usable).astype(np.int64)
        every = (scored.bins(column, part.columns, "parted") for column in family.columns)
        bins = [kept(kept(each, mask), usable) for each in every]
        two = np.tile([0.0, 1.0], scored.size)
        return family.counted_by_kind(bins, kind, two, np.repeat(scored.wrong, 2))

    def _columns(self, part: Part, segments: Segments) -> dict[str, ColumnCounts]:
        """Every input column."""
        if self._upstream is None:
            return {}
        return {name: self._column(part, segments, name) for name in self._inputs}

    def _column(self, part: Part, segments: Segments, name: str) -> ColumnCounts:
        assert self._upstream is not None
        profile, recent = self._inputs[name], self._upstream.state.recent[name]
        values = part.columns[name]
        if isinstance(values, Coded):
            vocabulary = self._vocabularies[name]
            return counting.count_texts(vocabulary, profile, recent, values, segments)
        return counting.count_numbers(profile, recent, values, segments)

    def segments(self, part: Part) -> Segments:
        """The segments that feeds are watched in, and who of the part is in which."""
        declared = self._divided(part, self._declared)
        if self._upstream is None:
            return declared
        unnamed = self._divided(part, self._unnamed)
        return replace(declared, unnamed=unnamed)

    def _divided(self, part: Part, columns: Mapping[str, tuple[str, ...]]) -> Segments:
        return Segments(tuple(self._division(part, *each) for each in columns.items()))

    def _division(self, part: Part, column: str, names: tuple[str, ...]) -> Division:
        texts = cast(Coded, part.columns[column])
        found = self._vocabularies[column].table(names, texts, partial(counting.segment_of, names))
        return Division(names, texts, found)

    def _still(self, part: Part, unnamed: Segments | None) -> Still:
        if self._upstream is None or unnamed is None or not self._upstream.unnamed.moving.numbers:
            return Still()
        watched = self._upstream.unnamed
        values = [cast(Numbers, part.columns[name]) for name in watched.moving.numbers]
        placed = [each.placed for each in unnamed.divisions]
        return watched.moving.count(Spots.of(watched.columns, placed), values)

    def _answers(self, part: Part) -> Answers:
        subject, score = self._subject, self._subject.profile.score
        assert score is not None
        assert subject.answer is not None
        hours = hours_of(subject.profile, part.times)
        values = part.columns[subject.answer]
        if isinstance(values, Coded):
            found = counting.text_bins(self._vocabularies["score"], score, values)[0]
            return Answers(found, hours=hours)
        ends = limits(values)
        gone = ends.missing
        bins = Bins.of_numbers(score, values, ends)
        if subject.signature.task != "binary":
            return Answers(bins, hours=hours)
        below = float(np.nextafter(subject.signature.threshold, -np.inf))
        hits = values.size - gone - int(edges.at_most(values, [below])[0])
        return Answers(bins, Tally(hits, values.size - gone), hours)

    def _cells(self, part: Part) -> Ints | None:
        score = self.score(part)
        return None if self._by_score is None or score is None else self._by_score.cells(score)

    def _with_answer(self, part: Part) -> Mapping[str, Numbers | Coded]:
        """The columns of a part, and under no name its answers, which are a feature of the shift
        where there is no other."""
        answer = self._subject.answer
        return part.columns if answer is None else {**part.columns, "": part.columns[answer]}

    def score(self, part: Part) -> Floats | None:
        """The probabilities of a binary task; None for other tasks, and without them."""
        if self._subject.signature.task != "binary" or self._subject.answer is None:
            return None
        return np.asarray(part.columns[self._subject.answer], dtype=np.float64)

    def rows(self, part: Part) -> Rows:
        """The part as rows of the request log."""
        size = len(part)
        fixed: dict[str, Maker] = {
            "event_time": lambda: part.times,
            "received_at": lambda: part.times,
            "total_seconds": lambda: np.zeros(size),
            "final": lambda: np.ones(size, dtype=np.bool_),
            "request_id": lambda: _alike("", size),
            "release": lambda: _alike(self._subject.release, size),
            "mode": lambda: _alike("stable", size),
            "outcome": lambda: _alike(Outcome.OK, size),
        }
        inputs = {name: partial(_plain, part.columns, name) for name in self._inputs}
        outputs = self._outputs(part)
        return Rows(Lazy(fixed, size), Lazy(inputs, size), Lazy(outputs, size))

    def _outputs(self, part: Part) -> dict[str, Maker]:
        if self._subject.answer is None:
            return {}
        values = part.columns[self._subject.answer]
        if isinstance(values, Coded):
            return {"label": values.objects}
        usable = np.asarray(values, dtype=np.float64)
        signature = self._subject.signature
        if signature.task != "binary":
            return {"prediction": lambda: usable}
        classes = np.array(signature.classes, dtype=object)
        return {
            "score": lambda: usable,
            "label": lambda: classes[(usable >= signature.threshold).astype(np.int64)],
        }

    def truth(self, part: Part) -> Truth | None:
        """The rows whose label is known; None when that is none."""
        if self._subject.target is None:
            return None
        values = part.columns[self._subject.target]
        mask = ~np.isnan(values) if not isinstance(values, Coded) else values.present
        if not mask.any():
            return None
        told = self._told(part, values, mask) if isinstance(values, Coded) else None
        loss, signature = self._subject.loss, self._subject.signature
        lost = None if loss is None else lambda known: loss.of(signature, Row.of(known))
        return Truth(mask, told, partial(self._labelled, part, values, mask), lost)

    def _told(self, part: Part, values: Coded, mask: Mask) -> Told | None:
        score = self.score(part)
        if score is None:
            return None
        names, classes = values.texts.to_pylist(), self._subject.signature.classes
        places = kept(values.places, mask)
        known, positive = (
            np.array([*(name in wanted for name in names), False]).take(places)
            for wanted in (classes, classes[-1:])
        )
        return Told.among(kept(score, mask), known, positive)

    def _labelled(self, part: Part, values: Numbers | Coded, mask: Mask) -> Labelled:
        # A regression's losses read labels as numbers, which these are already.
        label = values.objects() if isinstance(values, Coded) else cast(Texts, values)
        return Labelled(self.rows(part), label, part.times).take(mask)


def _by_column(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Segments, each named `column=value`, by the column that they are of."""
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        column = name.partition("=")[0]
        found[column] = (*found.get(column, ()), name)
    return found


def _alike(text: str, rows: int) -> CodedTexts:
    return CodedTexts((str(text),), np.zeros(rows, dtype=np.int64))


def _plain(columns: Mapping[str, Numbers | Coded], name: str) -> NDArray[Any]:
    values = columns[name]
    if isinstance(values, Coded):
        return values.objects()
    return np.asarray(values, dtype=np.float64)


def _feeds(looked: Looked) -> Feeds:
    columns = looked.columns
    cells = {key: cell for each in columns.values() for key, cell in each.cells.items()}
    odd = {key: found for each in columns.values() for key, found in each.parts.items()}
    seen = {name: each.seen for name, each in columns.items()}
    return Feeds(seen, cells, Brought(looked.parts, odd, looked.still))
