"""What `ps` shows of a process that names itself."""

import subprocess
import sys

import pytest

CODE = """
from pathlib import Path
from trimtab.agent.title import entitle
entitle("trimtab-thing", {words!r})
print(Path("/proc/self/comm").read_text().strip())
print(Path("/proc/self/cmdline").read_bytes().rstrip(b"\\0").decode())
"""


@pytest.mark.parametrize("words", ["trimtab.thing --index 0", "long " * 10_000, ""])
def test_a_process_shows_as_much_of_its_title_as_its_command_line_has_room_for(words: str) -> None:
    argv = [sys.executable, "-c", CODE.format(words=words)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    name, title = done.stdout.removesuffix("\n").split("\n")
    room = len("\0".join(argv))
    assert (name, title) == ("trimtab-thing", words[:room])
