"""Predictions awaiting their labels, joined as labels arrive: late, doubled or out of order.

A prediction is used once. The first label read for it counts; among labels that wait for a
prediction not yet read, the one with the newest `at` counts. Everything is decided segment by
segment in the log's order, so reading in other portions, or again after a restart, gives the same.
"""

from bisect import bisect_right
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.records import Fate, Heard, Labelled, Labels, Outcome, Rows, together
from trimtab.loop.key_index import Key, KeyIndex, key_of_business, key_of_row
from trimtab.loop.watermark import believable
from trimtab.ports.requestlog import Segment

WAITING, USED = 1, 2
"""Marks of predictions; one above `USED` tells in a byte which label was used."""
SENDERS = 16
"""Senders of labels of which it is known what they have said; those that came after them are one.
"""
SMALL = 512
"""Rows of a segment below which it is held together with those around it."""
LONGEST = 256
"""Characters of a label that are kept, as of ids and keys: hundreds of thousands may wait, and each
may be of any length in the log."""
RECENT = 20_000
"""Used labels kept during a rollout: the shadow copy of a request may be logged after its label."""


Read = Callable[[Sequence[Segment]], Iterable[Rows | None]]
"""Reads segments, in their order; None for one that is gone or torn."""


class Terms(msgspec.Struct, frozen=True):
    """How labels find predictions. `horizon` is how long predictions and early labels are kept,
    seconds on the deployment's clock; `key` is the business-key column; `time` is the column that
    dates a prediction on that clock; `inputs` are the columns that are wanted with a label."""

    horizon: float
    key: str | None = None
    inputs: tuple[str, ...] = ()
    time: Literal["event_time", "received_at"] = "event_time"


class WaitingLabel(msgspec.Struct, frozen=True):
    """A label whose prediction was not read yet; one may say None. `arrived` is on the deployment's
    clock, `source` is who sent it."""

    key: Key
    label: str | None
    at: float
    arrived: float
    source: str = ""


class SavedBatch(msgspec.Struct, frozen=True):
    """Where a batch of predictions is in the log, the mark of each (`WAITING`, `USED`), and who has
    said the label that was used: a bit for each sender, in two bytes, the lower one first; empty
    where that was not kept. `joins` says whether it is held together with the one before; None
    where that was not kept either."""

    segment: Segment
    marks: bytes
    said: bytes = b""
    joins: bool | None = None


class SavedJoiner(msgspec.Struct, frozen=True):
    """A joiner at rest: positions in the log, not the predictions themselves."""

    terms: Terms
    look: int = 0
    batches: tuple[SavedBatch, ...] = ()
    labels: tuple[WaitingLabel, ...] = ()
    recent: tuple[WaitingLabel, ...] = ()
    words: dict[int, str | None] = {}
    senders: dict[str, int] = {}


@dataclass(slots=True)
class _Batch:
    """Predictions that are held, and forgotten, together.

    `parts` are their segments, with how many came from each; those of several are in memory of
    their own, one alone may be seen through to its file. The first `indexed` rows can be found."""

    parts: list[tuple[Segment, int]]
    pieces: list[Rows]
    marks: NDArray[np.uint8]
    said: NDArray[np.uint16]
    oldest: float
    newest: float
    indexed: int = 0

    @property
    def rows(self) -> Rows:
        """All rows, which are put together when somebody asks for them."""
        self.settle()
        return self.pieces[0]

    def settle(self) -> None:
        """Let go of what there is to know of each piece: no more will come."""
        if len(self.pieces) > 1:
            self.pieces = [together(self.pieces)]

    @property
    def saved(self) -> Iterator[SavedBatch]:
        """The batch by its segments."""
        start = 0
        for segment, size in self.parts:
            here, joins = slice(start, start + size), start > 0
            said = self.said[here].astype("<u2").tobytes()
            yield SavedBatch(segment, self.marks[here].tobytes(), said, joins)
            start += size

    def append(self, more: "_Batch") -> None:
        """Hold those of another segment too."""
        self.parts += more.parts
        self.pieces += more.pieces
        self.marks = np.concatenate([self.marks, more.marks])
        self.said = np.concatenate([self.said, more.said])
        self.oldest = min(self.oldest, more.oldest)
        self.newest = max(self.newest, more.newest)


@dataclass(frozen=True, slots=True)
class _Match:
    place: int
    label: WaitingLabel


@dataclass(slots=True)
class Joiner:
    """Joins one deployment's labels.

    At most `capacity` predictions and as many labels wait; beyond, the oldest go (`evicted`).
    A prediction's place is its number among all that were held; a batch is known by its first.
    Of its inputs only the columns of `terms` are held: the others are in the log. `_words` is what
    the newest label of each mark says, `_senders` numbers those who send them.
    """

    terms: Terms
    capacity: int = 400_000
    evicted: int = 0
    _batches: dict[int, _Batch] = field(default_factory=dict)
    _open: int | None = None
    _next: int = 0
    _look: int = 0
    _rows: int = 0
    _firsts: list[int] = field(default_factory=list)
    _index: KeyIndex = field(default_factory=KeyIndex)
    _fresh: dict[int, None] = field(default_factory=dict)
    # A plain dict is searched from its beginning for what is left of it, each time anew.
    _labels: OrderedDict[Key, WaitingLabel] = field(default_factory=OrderedDict)
    _recent: dict[Key, WaitingLabel] = field(default_factory=dict)
    _words: dict[int, str | None] = field(default_factory=dict)
    _senders: dict[str, int] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """Predictions held."""
        return self._rows

    def add(self, segment: Segment, rows: Rows) -> list[Labelled]:
        """Take the answered rows of a segment; returns those whose label came before them."""
        answered = self._wanted(rows)
        size = len(answered)
        if not size:
            return []
        marks, said = np.full(size, WAITING, np.uint8), np.zeros(size, np.uint16)
        first = self._hold(segment, answered, marks, said)
        matches = self._early(first, answered)
        for match in matches:
            self._labels.pop(match.label.key, None)
        known = self._use(matches)
        self._evict()
        return known

    def _early(self, first: int, rows: Rows) -> list[_Match]:
        """Rows whose label is known already; of several labels the newest."""
        if not self._labels and not self._recent:
            return []
        found: dict[int, WaitingLabel] = {}
        for keys in self._keys(rows):
            for place, key in enumerate(keys, first):
                label = self._labels.get(key) or self._recent.get(key)
                if label is not None and (place not in found or label.at > found[place].at):
                    found[place] = label
        return [_Match(place, found[place]) for place in sorted(found)]

    def weigh(self, labels: Labels) -> Heard:
        """What will become of a segment's labels; to be asked before `learn` takes them."""
        first: dict[Key, str | None] = {}
        said: dict[Key, int] = {}
        every = list(_waiting(labels, 0.0))
        weighed = [self._weighed(label, first, said) for label in every]
        fates, words = ([each[place] for each in weighed] for place in (0, 1))
        time = "at" if self.terms.time == "event_time" else "received_at"
        return Heard(
            labels.fixed[time].astype(np.float64),
            np.array(fates, dtype=object),
            np.array(words, dtype=object),
            labels.fixed["source"],
            np.array([label.label for label in every], dtype=object),
        )

    def _weighed(
        self, label: WaitingLabel, first: dict[Key, str | None], said: dict[Key, int]
    ) -> tuple[Fate, str | None]:
        """The fate of a label, and what the first of its prediction says, itself where there is no
        prediction. `first` are the labels of this segment that came before, `said` is who has said
        the label of a prediction by now."""
        places = self._places(label.key)
        if label.key in first:
            known = first[label.key]
            again = known == label.label
            return self._again(label, places, said) if again else Fate.CONTRADICTED, known
        if not places:
            return Fate.UNKNOWN, label.label
        if any(self._waits(place) for place in places):
            first[label.key], said[label.key] = label.label, self._bit(label)
            return Fate.FRESH, label.label
        used = {self._mark(place) for place in places}
        if used & {USED, _mark_of(label.label)}:
            return self._again(label, places, said), label.label
        return Fate.CONTRADICTED, self._words.get(min(used), "")

    def _again(self, label: WaitingLabel, places: list[int], said: dict[Key, int]) -> Fate:
        """Whether the label of a prediction is said again, or for the first time by its sender."""
        bit, before = self._bit(label), said.get(label.key, self._said(places))
        said[label.key] = before | bit
        return Fate.CONFIRMED if before and not before & bit else Fate.REPEATED

    def _bit(self, label: WaitingLabel) -> int:
        """That of the sender of a label."""
        if len(self._senders) < SENDERS:
            self._senders.setdefault(label.source, len(self._senders))
        return 1 << self._senders.get(label.source, SENDERS - 1)

    def _said(self, places: list[int]) -> int:
        """Who has said the label of a prediction, which may be held in several places."""
        found = (self._batches[number].said[position] for number, position in map(self._at, places))
        return int(np.bitwise_or.reduce(list(found)))

    def learn(self, labels: Labels, clock: float) -> list[Labelled]:
        """Take a segment's labels; returns the predictions they belong to."""
        matches: list[_Match] = []
        every = list(_waiting(labels, clock))
        for label in _newest(every):
            places = self._places(label.key)
            if not places:
                self._keep(label)
            matches += [_Match(place, label) for place in places if self._waits(place)]
        known, used = self._use(matches), {id(match.label) for match in matches}
        for label in every:
            if id(label) not in used:
                self._note(label)
        return known

    def _note(self, label: WaitingLabel) -> None:
        """Remember who said the label of a prediction again."""
        for place in self._places(label.key):
            if self._mark(place) == _mark_of(label.label):
                number, position = self._at(place)
                self._batches[number].said[position] |= self._bit(label)

    def expire(self, clock: float) -> None:
        """Forget what no label or prediction can come for any more.

        Looks once per 1/64 of the horizon, at the same segments whenever they are read. Labels
        that came before the clock was known (0.0) are dated by the first look.
        """
        look = int(clock // (self.terms.horizon / 64))
        if look == self._look:
            return
        self._look = look
        oldest = clock - self.terms.horizon
        for number in [n for n, batch in self._batches.items() if batch.newest < oldest]:
            self._drop(number)
        for key, label in list(self._labels.items()):
            if label.arrived == 0.0:
                self._labels[key] = msgspec.structs.replace(label, arrived=clock)
            elif label.arrived < oldest:
                del self._labels[key]
        self._recent = {k: each for k, each in self._recent.items() if each.arrived >= oldest}

    def dump(self) -> SavedJoiner:
        """The state to save; small, because predictions stay in the log."""
        batches = chain.from_iterable(each.saved for each in self._batches.values())
        return SavedJoiner(
            self.terms,
            self._look,
            tuple(batches),
            tuple(self._labels.values()),
            tuple(self._recent.values()),
            dict(sorted(self._words.items())),
            dict(self._senders),
        )

    def restore(self, saved: SavedJoiner, read: Read) -> Iterator[None]:
        """Read the predictions of `saved` again, a segment with each step; those past the log's
        retention are gone, and those of a segment of which a power loss left other rows than were
        saved."""
        every, begun = read([batch.segment for batch in saved.batches]), False
        for batch, found in zip(saved.batches, every, strict=True):
            yield
            rows = None if found is None else self._wanted(found)
            marks = np.frombuffer(batch.marks, dtype=np.uint8).copy()
            begun = begun and batch.joins is not False
            if rows is None or len(marks) != len(rows):
                continue
            said = np.frombuffer(batch.said or bytes(2 * len(marks)), dtype="<u2")
            joins = batch.joins and begun
            self._hold(batch.segment, rows, marks, said.astype(np.uint16), joins)
            begun = True
        self._look = saved.look
        self._labels.update((label.key, label) for label in saved.labels)
        self._recent.update((label.key, label) for label in saved.recent)
        self._words.update(saved.words)
        self._senders.update(saved.senders)

    def _wanted(self, rows: Rows) -> Rows:
        """Of a segment the answered rows, with the inputs that are wanted with a label."""
        answered = rows.has("outcome", Outcome.OK)
        # What was cut is longer than any key that a label may name.
        return rows.keeping((self.terms.key or "", *self.terms.inputs), LONGEST + 1).take(answered)

    def _hold(
        self,
        segment: Segment,
        rows: Rows,
        marks: NDArray[np.uint8],
        said: NDArray[np.uint16],
        joins: bool | None = None,
    ) -> int:
        """Hold the rows of a segment; returns the first place. `joins` is whether with those before
        them, where that is known."""
        first, size = self._next, len(rows)
        self._next += size
        self._rows += size
        times = rows.fixed[self.terms.time]
        newest = min(float(times.max()), believable(times))
        small = size < self._small
        piece = rows.apart() if small else rows
        made = _Batch([(segment, size)], [piece], marks, said, newest, newest)
        held = self._joined(made, joins) if small else None
        if held is None:
            if self._open is not None:
                self._batches[self._open].settle()
            held = first
            self._batches[first] = made
            self._firsts.append(first)
        self._open = held if small else None
        self._fresh[held] = None
        return first

    def _joined(self, made: _Batch, joins: bool | None) -> int | None:
        """The batch that a small one was joined to; None where it is one by itself."""
        if self._open is None:
            return None
        before = self._batches[self._open]
        if joins or (joins is None and self._fits(before, made)):
            before.append(made)
            return self._open
        return None

    @property
    def _small(self) -> int:
        """Rows from which on a segment is held by itself: below, what there is to know of a segment
        is many times its rows, and a kernel maps so many files and no more."""
        return min(SMALL, self.capacity // 64)

    def _fits(self, open_: _Batch, more: _Batch) -> bool:
        """Whether predictions go with those before them: by what was read alone, so that after a
        restart the same are forgotten together."""
        oldest, newest = min(open_.oldest, more.oldest), max(open_.newest, more.newest)
        return (
            len(open_.marks) + len(more.marks) <= 4 * self._small
            and newest - oldest <= self.terms.horizon / 64
            and open_.pieces[0].like(more.pieces[0])
        )

    def _places(self, key: Key) -> list[int]:
        """Where a key is held. Batches are indexed when the first label is looked for: many are
        gone before one comes."""
        for number in self._fresh:
            batch = self._batches[number]
            known, batch.indexed = batch.indexed, len(batch.marks)
            for keys in self._keys(batch.rows.part(known, batch.indexed)):
                self._index.add(keys, number + known)
        self._fresh.clear()
        return self._index.places(key)

    def _keys(self, rows: Rows) -> list[list[Key]]:
        """The keys by which a label may name each row; "" names none."""
        requests, numbers = rows.fixed["request_id"].tolist(), rows.fixed["row"]
        if numbers.any():
            requests = list(map(key_of_row, requests, numbers.tolist()))
        column = rows.inputs.get(self.terms.key) if self.terms.key is not None else None
        if column is None:
            return [requests]
        texts = ("" if value is None else key_text(value) for value in column.tolist())
        return [requests, [key_of_business(text) if text else "" for text in texts]]

    def _at(self, place: int) -> tuple[int, int]:
        """Batch, and position in it, of a prediction that is held."""
        first = self._firsts[bisect_right(self._firsts, place) - 1]
        return first, place - first

    def _waits(self, place: int) -> bool:
        return self._mark(place) == WAITING

    def _mark(self, place: int) -> int:
        number, position = self._at(place)
        return int(self._batches[number].marks[position])

    def _remember(self, match: _Match) -> None:
        """Keep the label of a prediction in a rollout for the shadow copy that may follow."""
        number, position = self._at(match.place)
        if self._batches[number].rows.fixed["rollout"][position]:
            self._recent[match.label.key] = match.label
            if len(self._recent) > RECENT:
                del self._recent[next(iter(self._recent))]

    def _keep(self, label: WaitingLabel) -> None:
        known = self._labels.get(label.key)
        if known is None or label.at > known.at:
            self._labels[label.key] = label
        if len(self._labels) > self.capacity:
            self._labels.popitem(last=False)
            self.evicted += 1

    def _use(self, matches: list[_Match]) -> list[Labelled]:
        """Mark and return matched predictions, as few tables as their columns allow."""
        chosen: dict[int, WaitingLabel] = {}
        for match in matches:
            if match.place not in chosen or match.label.at > chosen[match.place].at:
                chosen[match.place] = match.label
            self._remember(match)
        by_batch: dict[int, list[int]] = defaultdict(list)
        for number, position in map(self._at, sorted(chosen)):
            label = chosen[number + position]
            mark = _mark_of(label.label)
            self._words[mark] = label.label
            self._batches[number].marks[position] = mark
            self._batches[number].said[position] = self._bit(label)
            by_batch[number].append(position)
        groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Labelled]] = defaultdict(list)
        for number, positions in by_batch.items():
            part = self._batches[number].rows.take(np.array(positions))
            labels = [chosen[number + position] for position in positions]
            groups[tuple(part.inputs), tuple(part.outputs)].append(_labelled(part, labels))
        return [_joined(group) for group in groups.values()]

    def _evict(self) -> None:
        while self._rows > self.capacity and len(self._batches) > 1:
            oldest = next(iter(self._batches))
            self.evicted += int(np.sum(self._batches[oldest].marks == WAITING))
            self._drop(oldest)

    def _drop(self, number: int) -> None:
        batch = self._batches.pop(number)
        self._firsts.remove(number)
        self._rows -= len(batch.marks)
        self._fresh.pop(number, None)
        if self._open == number:
            self._open = None
        if batch.indexed:
            for keys in self._keys(batch.rows.part(0, batch.indexed)):
                self._index.remove(keys, number)


def _mark_of(label: str | None) -> int:
    """The mark of a prediction that used this label: of two labels, one in 253 is taken for the
    other."""
    return USED + 1 + crc32(str(label).encode()) % (255 - USED)


def key_text(value: Any) -> str:
    """A business key as labels write it: whole numbers without a fraction."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


_WAITING = ("request_id", "row", "key", "label", "at", "source")


def _waiting(labels: Labels, clock: float) -> Iterator[WaitingLabel]:
    fixed = labels.fixed
    columns = (fixed[name].tolist() for name in _WAITING)
    for request, row, key, label, at, source in zip(*columns, strict=True):
        name = key_of_row(request, row) if request else key_of_business(str(key))
        kept = label if label is None else str(label)[:LONGEST]
        yield WaitingLabel(name, kept, at, clock, str(source))


def _newest(labels: Iterable[WaitingLabel]) -> list[WaitingLabel]:
    """One label per key, the one that became known last."""
    newest: dict[Key, WaitingLabel] = {}
    for label in labels:
        known = newest.get(label.key)
        if known is None or label.at > known.at:
            newest[label.key] = label
    return list(newest.values())


def _labelled(rows: Rows, labels: list[WaitingLabel]) -> Labelled:
    texts = np.array([label.label for label in labels], dtype=object)
    sources = np.array([label.source for label in labels], dtype=object)
    at = np.array([label.at for label in labels], dtype=np.float64)
    return Labelled(rows, texts, at, sources)


def _joined(parts: list[Labelled]) -> Labelled:
    """Labelled rows of equal columns as one."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0].rows
    rows = Rows(
        {name: np.concatenate([part.rows.fixed[name] for part in parts]) for name in first.fixed},
        {name: np.concatenate([part.rows.inputs[name] for part in parts]) for name in first.inputs},
        {
            name: np.concatenate([part.rows.outputs[name] for part in parts])
            for name in first.outputs
        },
    )
    label = np.concatenate([part.label for part in parts])
    source = np.concatenate([part.source for part in parts if part.source is not None])
    return Labelled(rows, label, np.concatenate([part.labelled_at for part in parts]), source)
