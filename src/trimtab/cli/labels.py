"""Reading labels from CSV or JSON lines."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from trimtab import errors
from trimtab.client import Label

FIELDS = ("id", "row", "key", "label", "at")


def read_labels(lines: Iterable[str], source: str) -> Iterator[Label]:
    """Labels from lines: JSON objects, or CSV with a header of `FIELDS`.

    Raises `Usage` TT-801 with the number of the first line that is wrong."""
    try:
        kept = list(lines)
    except UnicodeDecodeError as cause:
        raise _unread(source, f"it is not UTF-8 text: {cause.reason}") from cause
    first = next((line for line in kept if line.strip()), "")
    if first.lstrip().startswith("{"):
        yield from _json_lines(kept, source)
    else:
        yield from _csv(kept, source)


def _json_lines(lines: list[str], source: str) -> Iterator[Label]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                entry = json.loads(line)
            except ValueError as cause:
                raise _wrong(source, number, "it is not JSON") from cause
            if not isinstance(entry, dict):
                raise _wrong(source, number, "it is not a JSON object")
            yield _label(entry, source, number)


def _csv(lines: list[str], source: str) -> Iterator[Label]:
    separators = [each for each in ",;\t" if lines and each in lines[0]]
    reader = csv.DictReader(lines, delimiter=(separators or [","])[0])
    if lines and "label" not in (reader.fieldnames or ()):
        odd = [name for name in reader.fieldnames or () if name not in FIELDS]
        known = f": {odd[0]!r} is not one of {', '.join(FIELDS)}" if odd else ""
        raise _wrong(source, 1, f"the header is {lines[0].strip()!r}, without label{known}")
    for row in _rows(reader, source):
        if None in row:
            raise _wrong(source, reader.line_num, "it has more fields than the header")
        given = {name: text for name, text in row.items() if text}
        yield _label(given, source, reader.line_num)


def _rows(reader: "csv.DictReader[str]", source: str) -> Iterator[dict[str, str]]:
    while True:
        try:
            row = next(reader, None)
        except csv.Error as cause:
            raise _wrong(source, reader.line_num, f"it is not CSV: {cause}") from cause
        if row is None:
            return
        yield row


def _label(entry: Mapping[str, Any], source: str, number: int) -> Label:
    unknown = [name for name in entry if name not in FIELDS]
    if unknown:
        raise _wrong(source, number, f"{unknown[0]!r} is not one of {', '.join(FIELDS)}")
    named = {name: str(entry[name]) for name in ("id", "key") if entry.get(name) is not None}
    if "label" not in entry or len(named) != 1:
        raise _wrong(source, number, "it needs a label, and either an id or a key")
    try:
        at = datetime.fromisoformat(entry["at"]) if "at" in entry else None
        row = int(entry.get("row", 0))
    except (TypeError, ValueError, OverflowError) as cause:
        raise _wrong(source, number, str(cause)) from cause
    if isinstance(entry.get("row"), float) and row != entry["row"]:
        raise _wrong(source, number, f"row {entry['row']} is no whole number")
    return Label(entry["label"], row=row, at=at, **named)


def _wrong(source: str, number: int, problem: str) -> errors.Usage:
    return _unread(f"{source}:{number}", problem)


def _unread(subject: str, problem: str) -> errors.Usage:
    return errors.Usage(
        errors.BAD_LABELS,
        "read labels",
        subject,
        problem,
        unchanged="labels of earlier batches are stored; sending them again does no harm",
        hint="for example: id,row,label,at",
    )
