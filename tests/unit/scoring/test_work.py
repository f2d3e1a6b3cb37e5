"""What was finished stays, and what cannot be written takes no room."""

import errno
import gzip
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from trimtab.scoring.work import Manifest, Work

ROWS = 2_000


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As if the disk were full after so many bytes of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_cannot_be_written_is_named_and_takes_no_room(tmp_path: Path) -> None:
    chunk = pa.table({"x": [f"{row:08d}" for row in range(ROWS)]})
    work = Work(tmp_path / "out.csv", Manifest("d", "in.csv", "0", ROWS, ""))
    with work.open():
        with files_of_at_most(2_000), pytest.raises(OSError, match="File too large") as caught:
            work.keep(0, chunk)
        assert caught.value.errno == errno.EFBIG
        assert str(caught.value.filename).startswith(str(work.folder))
        work.keep(0, chunk)
        with files_of_at_most(2_000), pytest.raises(OSError, match="File too large") as caught:
            work.publish(1, chunk.schema)
        assert str(caught.value.filename).startswith(str(work.folder))
        left = {path.name for path in work.folder.iterdir()}
        assert left == {"lock", "manifest.json", "00000000.arrows"}
        assert not (tmp_path / "out.csv").exists()
        work.publish(1, chunk.schema)
    assert (tmp_path / "out.csv").read_text().count("\n") == ROWS + 1


def test_a_compressed_output_has_neither_time_nor_name(tmp_path: Path) -> None:
    """So that a scoring that was killed is the same bytes as one that was not."""
    chunk = pa.table({"x": [1.5, 2.5]})
    work = Work(tmp_path / "out.csv.gz", Manifest("d", "in.csv", "0", ROWS, ""))
    with work.open():
        work.keep(0, chunk)
        work.publish(1, chunk.schema)
    data = (tmp_path / "out.csv.gz").read_bytes()
    assert data[3:8] == bytes(5), "no flags, and no seconds since 1970"
    assert gzip.decompress(data) == b'"x"\n1.5\n2.5\n'
