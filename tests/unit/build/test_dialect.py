"""What a CSV file is separated by, told from its beginning."""

import gzip
from pathlib import Path

import pytest

from trimtab.build.dialect import Dialect, dialect


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1.5,x\n", Dialect()),
        ("a;b\n1.5;x\n", Dialect(";")),
        ("a;b\n1,5;x\n", Dialect(";", ",")),
        ("a;b;c\n1,5;2.5;x\n", Dialect(";")),
        ("a\tb\n1\tx\n", Dialect("\t")),
        ("a|b\n1|x\n", Dialect("|")),
        ("a\n1\n", Dialect()),
        ("a;b\n", Dialect(";")),
        ("", Dialect()),
        ('"a;b;c",d\n1,2\n', Dialect()),
        ("a,b\n1;2;3\n", Dialect()),
        ("a,b;c;d\n1;2;x,y\n", Dialect(";")),
    ],
)
def test_the_separator_is_what_header_and_first_row_share(
    tmp_path: Path, text: str, expected: Dialect
) -> None:
    path = tmp_path / "in.csv"
    path.write_text(f"\ufeff{text}", encoding="utf-8")
    assert dialect(path) == expected
    zipped = tmp_path / "in.csv.gz"
    zipped.write_bytes(gzip.compress(text.encode()))
    assert dialect(zipped) == expected
