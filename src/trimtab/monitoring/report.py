"""What `trimtab.monitor` gives back: a view that shows itself in a notebook, a page, a table."""

import difflib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from trimtab.domain.plurals import some
from trimtab.views.encode import to_json
from trimtab.views.report_shapes import FindingView, ReportView, StreamView, StreamWord

COLUMNS = (
    "signal",
    "verdict",
    "tier",
    "reason",
    "evidence_log10",
    "threshold_log10",
    "estimate",
    "lower",
    "upper",
    "reference",
    "tolerance",
    "n",
    "since",
    "since_block",
)
MOST_NAMED = 20
"""Streams that an error names."""


@dataclass(frozen=True, slots=True)
class Report:
    """The judgement of live data against a reference. Nothing in it changes.

    `view` is all of it; the rest is how to look at it. `frame` names the library that `to_frame`
    answers with.
    """

    view: ReportView
    frame: str = field(default="pyarrow", repr=False)

    @property
    def verdict(self) -> StreamWord:
        """`ok`, `watch`, `bad` or `unknown`, for everything together."""
        return self.view.verdict

    @property
    def streams(self) -> tuple[StreamView, ...]:
        """Each watched stream with its verdict, the gravest first."""
        return self.view.streams

    @property
    def incidents(self) -> tuple[FindingView, ...]:
        """What was found, with ranked causes; those that last at the end first."""
        return self.view.incidents

    @property
    def notes(self) -> tuple[str, ...]:
        """What else there is to know: columns left out, rows without a time."""
        return self.view.notes

    def __getitem__(self, signal: str) -> StreamView:
        """The stream of a signal, such as `input:age`. Raises `KeyError`, which names those that
        are written alike."""
        found = {each.signal: each for each in self.streams}
        if signal not in found:
            raise KeyError(_unknown(signal, list(found)))
        return found[signal]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, times as RFC 3339 text: what `trimtab monitor --json` prints."""
        made: dict[str, Any] = msgspec.json.decode(self.to_json())
        return made

    def to_json(self) -> bytes:
        """One line of JSON."""
        return to_json(self.view)

    def to_frame(self) -> Any:
        """The streams, a row each: in the library that the live data came in, else as Arrow."""
        table = pa.Table.from_pylist([_row(each) for each in self.streams], schema=_SCHEMA)
        if self.frame == "pandas":
            return table.to_pandas()
        if self.frame == "polars":
            return importlib.import_module("polars").from_arrow(table)
        return table

    def html(self, path: str | Path) -> Path:
        """Write the page: one file that needs nothing else, also without a network."""
        # The library of templates takes longer to load than all that judges, so not before.
        from trimtab.views.page import page

        target = Path(path)
        target.write_text(page(self.view), encoding="utf-8")
        return target

    def _repr_html_(self) -> str:
        from trimtab.views.page import notebook

        return notebook(self.view)

    def __str__(self) -> str:
        loud = [each for each in self.streams if each.verdict in ("bad", "watch")]
        lines = [f"{each.verdict:>7}  {each.signal}: {each.reason}" for each in loud]
        return "\n".join([f"{self.view.name}: {self.verdict}, {self.view.summary}", *lines])


def _unknown(signal: object, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(signal), known, cutoff=0.5)
    near += [name for name in known if name.endswith(f":{signal}") and name not in near]
    if near:
        return f"no stream {signal!r}; did you mean {' or '.join(map(repr, near))}?"
    return f"no stream {signal!r}; there are {some(known, MOST_NAMED)}"


_TYPES: Mapping[str, pa.DataType] = {
    **dict.fromkeys(("signal", "verdict", "tier", "reason"), pa.string()),
    **dict.fromkeys(("n", "since_block"), pa.int64()),
    "since": pa.timestamp("ms", tz="UTC"),
}
_SCHEMA = pa.schema([(name, _TYPES.get(name, pa.float64())) for name in COLUMNS])


def _row(stream: StreamView) -> dict[str, Any]:
    return {name: getattr(stream, name) for name in COLUMNS}
