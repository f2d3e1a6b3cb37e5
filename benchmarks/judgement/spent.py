"""Run a program and tell what it took. Standard library only, so that it is small itself.

usage: python spent.py PYTHON PROGRAM [ARGUMENT ...]

The peak of a process is at least what its parent held when it began it: that is why the benchmark,
with its tables in memory, does not begin the program. Prints seconds of the processor and the peak
of resident memory as JSON; what the program prints is thrown away.
"""

import json
import resource
import subprocess
import sys


def main() -> int:
    """The program's exit code."""
    done = subprocess.run(sys.argv[1:], check=False, stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = {"seconds": used.ru_utime + used.ru_stime, "peak_bytes": 1024 * used.ru_maxrss}
    sys.stdout.write(json.dumps(told) + "\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
