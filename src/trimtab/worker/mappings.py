"""Giving back the pages of libraries that were only looked at while they were linked and imported.

Symbols, relocations and what runs once are most of what a process has mapped of its libraries:
30 MB of Arrow's, as much of scikit-learn's.
"""

import contextlib
import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_OF_FILE, _SWAPPED, _PRESENT = 0x20, 0x40, 0x80
"""Bits of the highest byte of an entry of `/proc/PID/pagemap`, which has eight bytes."""
_BOTH = _PRESENT | _OF_FILE
_NOT_FILES = ("/dev/", "/memfd:", "/SYSV")


def give_back() -> None:
    """Unmap the pages of files that this process has only read.

    What it looks at again is mapped again, mostly from the page cache, which keeps all of them
    until somebody needs the memory. Call it while no other thread loads a library: where one is
    being linked, a page that was only read may be written to before it is given back. Nothing
    happens where the system does not say what is mapped.
    """
    with contextlib.suppress(OSError, ImportError, AttributeError):
        import ctypes  # a part of Python that some builds lack

        advise = ctypes.CDLL(None).madvise
        advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        for start, end in _only_read():
            advise(start, end - start, mmap.MADV_DONTNEED)


def _only_read() -> Iterator[tuple[int, int]]:
    with (
        Path("/proc/self/maps").open(encoding="utf-8", errors="replace") as maps,
        Path("/proc/self/pagemap").open("rb", buffering=0) as pagemap,
    ):
        for start, end in list(of_files(maps)):
            first, size = start // mmap.PAGESIZE, (end - start) // mmap.PAGESIZE
            pages = os.pread(pagemap.fileno(), 8 * size, 8 * first)
            if len(pages) == 8 * size and only_read(pages):
                yield start, end


def of_files(maps: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Start and end of the private mappings of files that are not to be written to.

    What was written to when a library was linked is among them, if it was locked afterwards."""
    for line in maps:
        span, rights, _, _, _, *named = line.split(maxsplit=5)
        path = named[0] if named else ""
        locked = rights in ("r--p", "r-xp")
        if locked and path.startswith("/") and not path.startswith(_NOT_FILES):
            start, _, end = span.partition("-")
            yield int(start, 16), int(end, 16)


def only_read(pages: bytes) -> bool:
    """Whether entries of a pagemap are of pages in memory that hold what is in their file.

    A page that was written to is this process's own, in memory or swapped out. Where no page is
    there, nothing can be given back."""
    kinds = set(pages[7::8])
    of_file = any(kind & _PRESENT and kind & _OF_FILE for kind in kinds)
    return of_file and not any(kind & _SWAPPED or kind & _BOTH == _PRESENT for kind in kinds)
