"""Files that are mapped and read once: their pages are not held for what is kept of them.

Predictions wait for their labels as views of the segment that they came in, of which a label will
want a few columns, and perhaps none. The kernel keeps the file in its cache anyway.
"""

import contextlib
import ctypes
import mmap
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa


class LastMapped:
    """Maps one file after the other, and gives back the pages of the one before.

    That file stays readable: what is wanted of it again comes out of the kernel's cache.
    """

    def __init__(self) -> None:
        self._last: pa.Buffer | None = None

    def open(self, path: Path) -> pa.Buffer:
        """All of a file, not copied; it stays readable when the file is deleted."""
        with pa.memory_map(str(path)) as source:
            whole = source.read_buffer()
        before, self._last = self._last, whole
        if before is not None:
            _give_back(before)
        return whole


def _give_back(pages: pa.Buffer) -> None:
    # Only whole mappings of files: of other memory the contents would be lost.
    if pages.address % mmap.PAGESIZE == 0:
        with contextlib.suppress(OSError, AttributeError):
            _madvise()(pages.address, pages.size, mmap.MADV_DONTNEED)


@cache
def _madvise() -> Callable[[int, int, int], Any]:
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return advise
