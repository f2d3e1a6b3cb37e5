"""Free texts: inputs whose values nearly all differ, watched by what can be seen of each text.

Of every text there is its length, the script of most of its letters, and one of its words. The word
is picked by the text itself, so that whoever counts picks the same one, and stands for a share of
the vocabulary: words fall into a fixed number of bins by their hash.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, Literal, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.records import CodedTexts, Column

View = Literal["", "length", "script", "word"]

FEWEST = 100
DIFFERENT = 0.5
"""A text column of at least so many different values, in more than this share of its rows, has no
categories that could be compared."""

LOOKED_AT = 2_000
"""Characters at the start of a text of which script and word are told."""

WORDS = 32
"""Bins of the vocabulary."""

NONE = "none"
"""Script and word of a text without any letter."""

_WORD = re.compile(r"[^\W\d_]+")


class Seen(NamedTuple):
    """A view of a source, as `ColumnProfile` names them."""

    source: str
    view: View


def free(values: Column) -> bool:
    """Whether the texts of a reference column are free."""
    if not isinstance(values, CodedTexts) and values.dtype.kind == "f":
        return False
    places = CodedTexts.of(values).places
    known = places[places >= 0]
    different = np.unique(known).size
    return different >= FEWEST and different > DIFFERENT * known.size


def views(inputs: Mapping[str, Column], segments: Collection[str]) -> dict[str, Seen]:
    """The views of the free texts among reference columns, by name; segments are categories.

    Always its length, and of the others those that differ between texts.
    """
    made = {}
    for name, values in inputs.items():
        if name not in segments and free(values):
            made[f"{name}.length"] = Seen(name, "length")
            for view in ("script", "word"):
                if len(set(seen(view, values).tolist()) - {None}) > 1:
                    made[f"{name}.{view}"] = Seen(name, view)
    return made


def expanded(inputs: Mapping[str, Column], made: Mapping[str, Seen]) -> dict[str, Column]:
    """The columns with each free text replaced by its views."""
    columns: dict[str, Column] = {}
    for name, values in inputs.items():
        mine = {view: each for view, each in made.items() if each.source == name}
        columns |= {view: seen(each.view, values) for view, each in mine.items()}
        if not mine:
            columns[name] = values
    return columns


def seen(view: View, values: Column) -> NDArray[Any]:
    """A view of texts: float64 lengths, else object array of str | None. Each is looked at once."""
    coded, number = CodedTexts.of(values), view == "length"
    made = [*map(_LOOKS[view], coded.names), np.nan if number else None]
    # A missing text is at place -1: the last.
    return np.array(made, dtype=np.float64 if number else object)[coded.places]


def script(text: str) -> str:
    """The script of most letters of a text in lower case, such as `latin`, `cyrillic` or `cjk`."""
    if text.isascii():
        return "latin" if _WORD.search(text) else NONE
    found = Counter(map(_script, filter(str.isalpha, text[:LOOKED_AT])))
    return min(found, key=lambda name: (-found[name], name), default=NONE)


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    return unicodedata.name(letter, NONE).partition(" ")[0].lower()


def word(text: str) -> str:
    """The bin of one word of a text: a number of two digits."""
    words = _WORD.findall(text[:LOOKED_AT].lower())
    if not words:
        return NONE
    chosen = words[crc32(_bytes(text)) % len(words)]
    return f"{crc32(_bytes(chosen)) % WORDS:02d}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


_LOOKS: Mapping[str, Callable[[str], Any]] = {
    "length": lambda text: float(len(text)),
    "script": script,
    "word": word,
}
