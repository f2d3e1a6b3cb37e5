"""The request log as a folder of Arrow segments and Parquet files."""

import contextlib
import datetime
import heapq
import shutil
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from trimtab import errors
from trimtab.backends import parity, publishing, roll_reading, rolling
from trimtab.backends import requestlog_files as files
from trimtab.backends.mapped import LastMapped
from trimtab.backends.pace import BRIEF, Pace
from trimtab.backends.roll_reading import RollReader, Span
from trimtab.backends.rolls import Roll, Rolls, stamp
from trimtab.domain import layout
from trimtab.domain.records import (
    FIXED_COLUMNS,
    LABEL_COLUMNS,
    Comparison,
    Labels,
    Paired,
    Rows,
    Told,
)
from trimtab.ports.requestlog import Cursor, Kind, Segment

KINDS: tuple[Kind, ...] = ("rows", "labels", "parity")
Source = pa.Table | list[str]
"""A table, or the paths of Parquet files that have one schema."""
Views = Mapping[str, list[Source]]
T = TypeVar("T")
MOST_REST = 0.5
"""Seconds by which rests may delay segments: a log that is behind is worked off at full speed."""
FEW_ROWS = 512
"""Rows of a segment below which it is decoded together with its neighbours."""
LOOKS = 3
"""Times that a question is asked of files that are replaced while it is answered."""
_COLUMNS = {"rows": FIXED_COLUMNS, "labels": LABEL_COLUMNS, "parity": FIXED_COLUMNS}


class Decoded:
    """Groups of rows as they were decoded for the segment before, by the file that they are of."""

    def __init__(self) -> None:
        self._known: OrderedDict[Path, tuple[pa.Table, Rows]] = OrderedDict()

    def rows(self, path: Path, table: pa.Table, start: int, size: int) -> Rows:
        """`size` rows of a file's `table` from `start` on. Many are not kept with their neighbours,
        which they would outlive."""
        if size >= FEW_ROWS:
            return files.to_rows(table.slice(start, size))
        known = self._known.pop(path, None)
        if known is None or known[0] is not table:
            known = table, files.to_rows(table)
        self._known[path] = known
        if len(self._known) > roll_reading.OPENED:
            self._known.popitem(last=False)
        return known[1].part(start, start + size)


def no_key(deployment: str) -> str | None:
    """No deployment labels by a business key."""
    return None


@dataclass(frozen=True, slots=True)
class FolderRequestLog:
    """`RequestLog` over `log/` of the state folder `home`.

    `key` tells the business-key column of a deployment. `settle_seconds` is the age at which a
    segment may be rolled, `share` how much of a processor publishing and rolling may take; `now` is
    the wall clock (segments are dated by when they were finished).
    """

    home: Path
    key: Callable[[str], str | None] = no_key
    settle_seconds: float = 60.0
    roll_rows: int = 1_000_000
    share: float = 1.0
    now: Callable[[], float] = time.time
    steps: rolling.Steps = field(default_factory=rolling.Steps)
    _rolls: Rolls = field(default_factory=Rolls, compare=False, repr=False)
    _mapped: LastMapped = field(default_factory=LastMapped, compare=False, repr=False)
    _reader: RollReader = field(default_factory=RollReader, compare=False, repr=False)
    _merger: rolling.Merger = field(default_factory=rolling.Merger, compare=False, repr=False)

    def deployments(self) -> tuple[str, ...]:
        """Names of the deployments that have a log."""
        log = self.home / layout.LOG
        return tuple(sorted(path.name for path in log.glob("*") if path.is_dir()))

    def publish(self) -> int:
        """Make segments of the spools that gateways sealed, and of those that dead ones left."""
        pace = Pace(self.share, BRIEF, MOST_REST)
        return publishing.publish(self.home, self._rolls, pace.rest)

    def mark(self, deployments: Collection[str]) -> Hashable | None:
        """See the port."""
        if publishing.waits(self.home):
            return None
        folders = [(name, kind) for name in sorted(deployments) for kind in KINDS]
        stamps = [stamp(f"{self.home}/{layout.segments(*each)}", self.now()) for each in folders]
        return None if None in stamps else (*zip(folders, stamps, strict=True),)

    def segments(self, deployment: str, after: Cursor) -> Iterator[Segment]:
        """Segments not covered by `after`, also those that were rolled before they were read.

        Sequences of each kind are counted apart, so the `writer` of labels ends in `:labels`.
        Order: by the time they became visible, and within a writer by sequence. Files are opened
        as they are reached. Where one was replaced meanwhile, what follows is listed again.
        """
        for _ in range(LOOKS):
            with contextlib.suppress(FileNotFoundError):
                for segment in self._unread(deployment, after):
                    yield segment
                    after = after.after(segment)
                return

    def _unread(self, deployment: str, after: Cursor) -> Iterator[Segment]:
        queues: list[Iterator[tuple[int, Segment]]] = []
        rolled = False
        for kind in KINDS:
            seen = _seen(after, kind)
            fresh, rolls, _ = files.visible(self._folder(deployment, kind), self._rolls, seen)
            rolled = rolled or bool(rolls)
            for writer in sorted({*_writers(fresh), *_writers(rolls)}):
                found = chain(
                    _held_after(seen.get(writer, -1), [r for r in rolls if r.writer == writer]),
                    [(p.time, p.sequence, p.path) for p in fresh if p.writer == writer],
                )
                queues.append(self._timed(deployment, kind, _writer(writer, kind), found))
        if not rolled:
            self._reader.rest()
        return (segment for _, segment in heapq.merge(*queues, key=itemgetter(0)))

    def _timed(
        self, deployment: str, kind: Kind, writer: str, found: Iterable[tuple[int, int, Path]]
    ) -> Iterator[tuple[int, Segment]]:
        for moment, sequence, path in found:
            yield moment, self._segment(deployment, kind, writer, sequence, path)

    def _segment(
        self, deployment: str, kind: Kind, writer: str, sequence: int, path: Path
    ) -> Segment:
        return Segment(deployment, kind, writer, sequence, str(path.relative_to(self.home)))

    def _folder(self, deployment: str, kind: Kind) -> Path:
        return self.home / layout.segments(deployment, kind)

    def rows(self, segment: Segment) -> Rows:
        """The rows of a segment. Raises `Permanent` TT-802 when it is torn or gone."""
        return files.to_rows(self._table(segment))

    def rows_of(self, segments: Sequence[Segment]) -> Iterator[Rows | None]:
        """See the port: files are listed once, and each group of rows is decoded once."""
        listing, decoded = cache(self._rolls.below), Decoded()
        for segment in segments:
            within = listing(self._folder(segment.deployment, segment.kind))
            roll = within.covering(_plain(segment.writer, segment.kind), segment.sequence)
            yield self._decoded(segment, roll, decoded)

    def _decoded(self, segment: Segment, roll: Roll | None, decoded: Decoded) -> Rows | None:
        """A segment that is held by `roll`, as far as is known."""
        if roll is not None:
            with contextlib.suppress(errors.Permanent, FileNotFoundError):
                return decoded.rows(roll.path, *self._reader.around(roll, segment.sequence))
        try:
            return self.rows(segment)
        except errors.Permanent:
            return None

    def labels(self, segment: Segment) -> Labels:
        """The labels of a segment. Raises `Permanent` TT-802 when it is torn or gone."""
        return files.to_labels(self._table(segment))

    def paired(self, segment: Segment) -> Paired:
        """The pairs of a segment. Raises `Permanent` TT-802 when it is torn or gone."""
        return files.to_paired(self._table(segment))

    def rows_between(self, deployment: str, since: float, until: float) -> Iterator[Rows]:
        """See the port."""
        for table in self._newest(deployment, "rows", Span("event_time", since, until)):
            yield files.to_rows(table)

    def labels_since(self, deployment: str, since: float) -> Iterator[Labels]:
        """See the port."""
        for table in self._newest(deployment, "labels", Span("at", since)):
            yield files.to_labels(table)

    def _newest(self, deployment: str, kind: Kind, span: Span) -> Iterator[pa.Table]:
        """Tables of the rows inside a span, segments first, then groups of rows of Parquet files,
        each time those first that became visible last."""
        fresh, dated = _steadily(lambda: self._dated(deployment, kind))
        for piece in sorted(fresh, key=lambda each: -each.time):
            table = self._piece(deployment, kind, piece)
            if table is not None:
                yield from span.filled(table)
        for _, roll in sorted(dated, reverse=True):
            try:
                yield from roll_reading.newest_groups(roll, span)
            except FileNotFoundError:
                yield from self._moved(self._folder(deployment, kind), roll, span)
            except errors.Permanent as problem:
                roll_reading.set_aside(roll.path, problem)

    def _dated(
        self, deployment: str, kind: Kind
    ) -> tuple[list[files.Piece], list[tuple[float, Roll]]]:
        fresh, rolls, _ = files.visible(self._folder(deployment, kind), self._rolls)
        return fresh, [(roll.path.stat().st_mtime, roll) for roll in rolls]

    def _moved(self, folder: Path, roll: Roll, span: Span) -> Iterator[pa.Table]:
        """What a file held that was merged since it was listed; nothing when retention took it."""
        heir = self._rolls.below(folder).covering(roll.writer, roll.first)
        if heir is None:
            return
        for held in reversed(roll_reading.held_by(heir)):
            if roll.first <= held.sequence <= roll.last:
                yield from span.filled(self._reader.read(heir, held.sequence))

    def compare(self, deployment: str, told: Told, within: float) -> Comparison:
        """See the port. Duplicated answers of a request count once, the first one received.

        Raises `OSError` with nothing compared."""
        from trimtab.backends import requestlog_query

        folder = self._folder(deployment, "parity")
        with parity.alone(folder):
            key = self.key(deployment)
            matches = self._asked(
                deployment, lambda views: requestlog_query.matches(views, key, told, within)
            )
            if matches.pairs.num_rows:
                parity.write(folder, self._rolls, matches.pairs, self.now())
        return matches.comparison

    def _table(self, segment: Segment) -> pa.Table:
        path = self.home / segment.path
        if path.suffix == ".arrow":
            try:
                return files.read_arrow(path, self._mapped)
            except FileNotFoundError:
                pass
        return self._rolled(segment)

    def _rolled(self, segment: Segment) -> pa.Table:
        """The segment's slice of the Parquet file that replaced it."""
        folder = self._folder(segment.deployment, segment.kind)
        writer = _plain(segment.writer, segment.kind)

        def look() -> pa.Table:
            roll = self._rolls.below(folder).covering(writer, segment.sequence)
            if roll is None:
                raise roll_reading.unreadable(Path(segment.path))
            return self._reader.read(roll, segment.sequence)

        return _steadily(look)

    def query(self, deployment: str, sql: str) -> pa.Table:
        """The answer of `sql` over the views `rows` and `labels` of a deployment.

        DuckDB sees the log through Arrow only: it can open no file, and so cannot change one.
        Raises `Usage` TT-802 when DuckDB refuses the statement.
        """
        from trimtab.backends import requestlog_query

        return self._asked(deployment, lambda views: requestlog_query.query(views, sql, deployment))

    def labelled(self, deployment: str, until: float) -> pa.Table:
        """See the port. Duplicated answers of a request count once, the first one received."""
        from trimtab.backends import requestlog_query

        key = self.key(deployment)
        return self._asked(deployment, lambda views: requestlog_query.labelled(views, key, until))

    def _asked(self, deployment: str, ask: Callable[[Views], T]) -> T:
        """The answer of `ask`, which is asked again when a file was merged under its hands, and
        without the files in which damage stood in its way."""
        from trimtab.backends import requestlog_query

        def look() -> T:
            views: Views = {kind: list(self._sources(deployment, kind)) for kind in KINDS}
            try:
                return ask(views)
            except Exception as cause:
                _all_there(views)
                if requestlog_query.stumbled(cause) and self._sifted(deployment):
                    raise FileNotFoundError("damaged files were set aside") from cause
                raise

        return _steadily(look)

    def _sifted(self, deployment: str) -> int:
        """Set aside the Parquet files that cannot be decoded; returns how many that were."""
        folders = [self._folder(deployment, kind) for kind in KINDS]
        rolls = [roll for folder in folders for roll in self._rolls.below(folder).rolls]
        return sum(_readable(_whole, roll) is None for roll in rolls)

    def damaged(self, deployment: str) -> int:
        """How many files of a deployment's log were damaged and set aside."""
        folders = [self._folder(deployment, kind) for kind in KINDS]
        segments = sum(1 for each in folders for _ in each.glob(f"*{layout.UNREADABLE}"))
        return segments + sum(len(self._rolls.below(each).aside) for each in folders)

    def _sources(self, deployment: str, kind: Kind) -> Iterator[Source]:
        """Tables, and the Parquet files of one schema together."""
        fresh, rolls, _ = files.visible(self._folder(deployment, kind), self._rolls)
        yield _empty(kind)
        tables: dict[pa.Schema, list[pa.Table]] = {}
        for piece in fresh:
            table = self._piece(deployment, kind, piece)
            if table is not None:
                tables.setdefault(table.schema, []).append(table)
        yield from (pa.concat_tables(group) for group in tables.values())
        paths: dict[pa.Schema, list[str]] = {}
        for roll in rolls:
            schema = _readable(roll_reading.schema_of, roll)
            if schema is not None:
                paths.setdefault(schema, []).append(str(roll.path))
        yield from paths.values()

    def _piece(self, deployment: str, kind: Kind, piece: files.Piece) -> pa.Table | None:
        """The piece's table wherever it is by now, None when it is torn or past retention."""
        name = _writer(piece.writer, kind)
        segment = self._segment(deployment, kind, name, piece.sequence, piece.path)
        try:
            return self._table(segment).replace_schema_metadata(None)
        except errors.Permanent:
            return None

    def roll(self, deployment: str) -> int:
        """Compact settled segments, and the Parquet files of hours that are over; a crash at any
        point neither loses nor doubles a row. Raises `OSError` with the rest left."""
        settled = (self.now() - self.settle_seconds) * 1e9
        terms = rolling.Terms(settled, self.roll_rows, self.steps, Pace(self.share).rest)
        folders = [self._folder(deployment, kind) for kind in KINDS]
        rolled = sum(rolling.roll(folder, self._rolls, terms) for folder in folders)
        for folder in folders:
            self._merger.merge(folder, self._rolls, terms)
        return rolled

    def newest_day(self) -> datetime.date | None:
        """The newest day of which there are rolled files; None of a log without any."""
        folders = (self.home / layout.LOG).glob("*/*/date=*")
        days = (_day(path.name.removeprefix("date=")) for path in folders)
        return max((day for day in days if day is not None), default=None)

    def expire(self, deployment: str, before: datetime.date) -> int:
        """Delete rolled days before `before`; returns how many folders were deleted."""
        old = [
            path
            for kind in KINDS
            for path in self._folder(deployment, kind).glob("date=*")
            if path.name.removeprefix("date=") < before.isoformat()
        ]
        for path in old:
            shutil.rmtree(path)
        return len(old)


def _day(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        return None


def _empty(kind: Kind) -> pa.Table:
    """No rows, but the fixed columns, so that a log without segments can be queried."""
    fields = [pa.field(name, files.ARROW[alias]) for name, alias in _COLUMNS[kind]]
    return pa.schema(fields).empty_table()


def _writers(found: Iterable[files.Piece] | Iterable[Roll]) -> set[str]:
    return {each.writer for each in found}


def _writer(writer: str, kind: Kind) -> str:
    return writer if kind == "rows" else f"{writer}:{kind}"


def _seen(after: Cursor, kind: Kind) -> dict[str, int]:
    """The last sequences of this kind, by writer."""
    return {
        _plain(name, kind): last
        for name, last in after.seen.items()
        if _writer(_plain(name, kind), kind) == name
    }


def _plain(name: str, kind: Kind) -> str:
    """What `_writer` made `name` of, if it was of this kind."""
    return name if kind == "rows" else name.removesuffix(f":{kind}")


def _steadily(look: Callable[[], T]) -> T:
    """What `look` finds; it looks again where a file that it had listed was replaced meanwhile."""
    for _ in range(LOOKS - 1):
        with contextlib.suppress(FileNotFoundError):
            return look()
    return look()


def _held_after(sequence: int, rolls: Iterable[Roll]) -> Iterator[tuple[int, int, Path]]:
    """Time, sequence and file of what Parquet files of a writer hold beyond `sequence`."""
    for roll in rolls:
        for held in _readable(roll_reading.held_by, roll) or ():
            if held.sequence > sequence:
                yield held.time, held.sequence, roll.path


def _readable(read: Callable[[Roll], T], roll: Roll) -> T | None:
    """What `read` says of a file; one that is damaged is set aside."""
    try:
        return read(roll)
    except errors.Permanent as problem:
        roll_reading.set_aside(roll.path, problem)
        return None


def _whole(roll: Roll) -> bool:
    """True. Raises `Permanent` TT-802 when the file is damaged; one that is gone is not."""
    with contextlib.suppress(FileNotFoundError):
        roll_reading.read_whole(roll)
    return True


def _all_there(views: Views) -> None:
    """Raises FileNotFoundError when a file of `views` is gone."""
    for source in chain.from_iterable(views.values()):
        if isinstance(source, list):
            for path in source:
                Path(path).stat()
