"""How a CSV file is written, told from its beginning: encoding, separator and decimal sign."""

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

SEPARATORS = ",;\t|"
SUFFIXES = frozenset({".csv", ".tsv", ".gz"})
UTF8 = "save it as UTF-8"
_HEAD_BYTES = 65_536
_QUOTED = re.compile(r'"[^"]*"')
_COMMA = re.compile(r"[+-]?\d+,\d+")
_POINT = re.compile(r"[+-]?\d*\.\d+")


@dataclass(frozen=True, slots=True)
class Dialect:
    """What separates the values of a row, and the whole from its fraction."""

    separator: str = ","
    decimal: str = "."

    def parsing(self) -> pyarrow.csv.ParseOptions:
        """For Arrow's reader."""
        return pyarrow.csv.ParseOptions(delimiter=self.separator)


def dialect(path: Path) -> Dialect:
    """The dialect of a file, which may be compressed as its suffix says.

    Raises `OSError`, and `ValueError` for a file in UTF-16."""
    with pa.input_stream(str(path)) as stream:
        head = stream.read(_HEAD_BYTES)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"it is written in UTF-16; {UTF8}")
    text = head.decode("utf-8-sig", errors="replace")
    lines = [_QUOTED.sub("", line) for line in text.splitlines()]
    separator = _separator(lines)
    if separator == ",":
        return Dialect()
    values = [value.strip() for line in lines[1:] for value in line.split(separator)]
    commas = any(map(_COMMA.fullmatch, values)) and not any(map(_POINT.fullmatch, values))
    return Dialect(separator, "," if commas else ".")


def _separator(lines: list[str]) -> str:
    """What header and first row have as often as each other, and most; else the header alone."""
    header, first = [*lines, "", ""][:2]
    return max(SEPARATORS, key=lambda s: (0 < header.count(s) == first.count(s), header.count(s)))
