"""The views of free texts in a part, as columns of their own."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from trimtab.build.memory import arrow_of, texts_of
from trimtab.domain.profile import ColumnProfile
from trimtab.judge.free_text import seen
from trimtab.monitoring.arrays import Coded
from trimtab.monitoring.timeline import Part
from trimtab.stats.edges import Numbers


def with_views(part: Part, inputs: Sequence[ColumnProfile]) -> Part:
    """The part with a column for each view among `inputs`; texts are looked at once each."""
    viewed = {column.name: _view(part, column) for column in inputs if column.view}
    return replace(part, columns={**part.columns, **viewed}) if viewed else part


def _view(part: Part, column: ColumnProfile) -> Numbers | Coded:
    source = part.columns[column.source]
    assert isinstance(source, Coded)
    present, places = np.unique(source.places, return_inverse=True)
    known = source.texts.take(arrow_of(present[present < len(source.texts)]))
    texts = np.array([*known.to_pylist(), None], dtype=object)[: present.size]
    made = seen(column.view, texts)
    if column.view == "length":
        return made[places]
    names = sorted({text for text in made.tolist() if text is not None})
    place = {name: number for number, name in enumerate(names)} | {None: len(names)}
    codes = np.array([place[text] for text in made.tolist()], dtype=np.int64)
    return Coded(texts_of(names, pa.string()), codes[places])
