"""What is resident of files that are read one after the other."""

import re
from pathlib import Path

import pyarrow as pa
import pytest

from trimtab.backends.mapped import LastMapped

SIZE = 1 << 20


def resident(path: Path) -> int:
    """KiB of a file that this process holds."""
    held, found = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            found = line.endswith(str(path))
        elif found and line.startswith("Rss:"):
            held += int(line.split()[1])
    return held


def test_pages_of_a_file_are_given_back_with_the_next_one_and_stay_readable(
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"1" * SIZE)
    second.write_bytes(b"2" * SIZE)
    mapped = LastMapped()
    one = mapped.open(first)
    assert one.to_pybytes() == b"1" * SIZE
    assert resident(first) == SIZE >> 10
    two = mapped.open(second)
    assert resident(first) == 0
    first.unlink()
    assert one.to_pybytes() == b"1" * SIZE
    assert two.to_pybytes() == b"2" * SIZE


def test_a_file_that_is_not_there_leaves_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a" * SIZE)
    mapped = LastMapped()
    held = mapped.open(tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        mapped.open(tmp_path / "b")
    assert held.equals(pa.py_buffer(b"a" * SIZE))
    assert resident(tmp_path / "a") > 0
