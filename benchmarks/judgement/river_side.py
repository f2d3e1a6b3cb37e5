"""Alarms of river's detectors on streams of numbers; run in the environment of its own lock.

usage: python river_side.py FOLDER

FOLDER holds `jobs.json`, a list of detector, options, the name of a stream, and `since`: with a
number, a job ends at its first alarm from that row on. `streams.npz` holds the streams. Prints the
rows of each job's alarms as JSON. A detector that also alarms at a fall is heard only at a rise
when the job says `rising`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from river import drift
from river.drift import binary

DETECTORS = {
    "ADWIN": drift.ADWIN,
    "PageHinkley": drift.PageHinkley,
    "KSWIN": drift.KSWIN,
    "HDDM_W": binary.HDDMW,
    "DDM": binary.DDM,
}
RECENT = 30
"""Rows whose mean says whether an alarm of KSWIN was at a rise: its own window of the present."""
TWO_SIDED = ("ADWIN", "KSWIN")


def rose(detector: Any, values: list[float], first: int, row: int) -> bool:
    """Whether what the detector takes for the present is above the mean since its last alarm."""
    past = sum(values[first : row + 1]) / (row + 1 - first)
    recent = values[max(row + 1 - RECENT, 0) : row + 1]
    return bool(getattr(detector, "estimation", sum(recent) / len(recent)) > past)


def alarms(job: dict[str, Any], values: list[float]) -> list[int]:
    """Rows at which the detector alarmed; it goes on by itself, as it does after each drift."""
    detector = DETECTORS[job["detector"]](**job["options"])
    since, rising = job["since"], job["rising"]
    found: list[int] = []
    first = 0
    for row, value in enumerate(values):
        detector.update(value)
        if not detector.drift_detected:
            continue
        if not rising or job["detector"] not in TWO_SIDED or rose(detector, values, first, row):
            found.append(row)
            if since is not None and row >= since:
                break
        first = row + 1
    return found


def main() -> None:
    """Print the alarms of all jobs."""
    folder = Path(sys.argv[1])
    streams = np.load(folder / "streams.npz")
    kept: dict[str, list[float]] = {}
    made = []
    for job in json.loads((folder / "jobs.json").read_text(encoding="utf-8")):
        name = job["stream"]
        if name not in kept:
            kept = {name: streams[name].astype(float).tolist()}
        made.append(alarms(job, kept[name]))
    sys.stdout.write(json.dumps(made) + "\n")


if __name__ == "__main__":
    main()
