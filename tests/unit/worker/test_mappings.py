"""Giving back pages of libraries, and nothing that the process has made of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trimtab.worker.mappings import of_files, only_read

MAPS = """\
5580a000-5580b000 r--p 00000000 fe:00 11                       /usr/bin/python3
5580b000-5580d000 r-xp 00001000 fe:00 11                       /usr/bin/python3
5580d000-5580e000 rw-p 00003000 fe:00 11                       /usr/bin/python3
5580e000-55900000 rw-p 00000000 00:00 0                        [heap]
7f000000-7f001000 r--p 00000000 fe:00 12                       /opt/with a blank/lib.so (deleted)
7f001000-7f002000 r--s 00000000 fe:00 13                       /opt/weights.bin
7f002000-7f003000 r--p 00000000 00:01 14                       /memfd:closures (deleted)
7f003000-7f004000 r--p 00000000 00:05 15                       /dev/nvidia0
7f004000-7f005000 r-xp 00000000 00:00 0                        [vdso]
7f005000-7f006000 r--p 00000000 00:00 0
"""
USED = """
import json, re
from pathlib import Path
import numpy as np
from trimtab.worker.mappings import give_back
def mapped():
    found = re.search(r"RssFile:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) if found else 0
before = mapped()
give_back()
after = mapped()
product = float((np.eye(50) @ np.arange(50.0)).sum())
print(json.dumps([before, after, product]))
"""
FILE, OWN, SWAPPED, ABSENT = 0xA0, 0x80, 0x40, 0x00


def entries(*kinds: int) -> bytes:
    """A pagemap of pages of these kinds."""
    return b"".join(bytes((1, 2, 3, 0, 0, 0, 0, kind)) for kind in kinds)


def test_only_private_mappings_of_files_without_the_right_to_write_are_candidates() -> None:
    assert list(of_files(MAPS.splitlines(keepends=True))) == [
        (0x5580A000, 0x5580B000),
        (0x5580B000, 0x5580D000),
        (0x7F000000, 0x7F001000),
    ]


@pytest.mark.parametrize(
    ("kinds", "given"),
    [
        ((FILE,), True),
        ((ABSENT, FILE, FILE | 1), True),
        ((ABSENT, ABSENT), False),
        ((), False),
        ((FILE, OWN, FILE), False),
        ((FILE, SWAPPED), False),
    ],
)
def test_a_mapping_with_a_page_that_was_written_to_is_kept(
    kinds: tuple[int, ...], given: bool
) -> None:
    assert only_read(entries(*kinds)) is given


@pytest.mark.skipif(not Path("/proc/self/pagemap").exists(), reason="no such system")
def test_a_process_goes_on_with_less() -> None:
    done = subprocess.run([sys.executable, "-c", USED], check=True, capture_output=True, text=True)
    before, after, product = json.loads(done.stdout)
    assert after < before / 2
    assert product == 49 * 50 / 2
