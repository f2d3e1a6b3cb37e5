"""What each program tells at its end. Standard library only: it runs in everybody's environment."""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def alive() -> float:
    """Seconds since this process began, to a hundredth: whatever was imported first counts."""
    started = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(started) / os.sysconf("SC_CLK_TCK")


def anonymous() -> int:
    """Peak of resident memory less the pages of files that are mapped just now, bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    found = {line.partition(":")[0]: line.split()[1] for line in lines if line.endswith(" kB")}
    return 1024 * (int(found["VmHWM"]) - int(found["RssFile"]))


def measured(run: Callable[[str, list[str]], Any]) -> None:
    """Run it on the files of the command line, and tell."""
    imported = alive()
    began, processor = time.perf_counter(), time.process_time()
    said = run(sys.argv[1], sys.argv[2:])
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - began,
                "processor_seconds": time.process_time() - processor,
                "import_seconds": imported,
                "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
                "anonymous_bytes": anonymous(),
                "said": said,
            }
        )
    )
