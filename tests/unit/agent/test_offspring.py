"""When a helper can be forked off; what it then is, the end-to-end tests say."""

import sys
import threading
from pathlib import Path

from trimtab.agent.offspring import fork_off, threads


def test_nothing_is_forked_off_a_process_with_threads(tmp_path: Path) -> None:
    enough = threading.Event()
    thread = threading.Thread(target=enough.wait)
    thread.start()
    try:
        assert threads() >= 2
        assert fork_off(tmp_path, lambda line: sys.exit()) is None
    finally:
        enough.set()
        thread.join()
