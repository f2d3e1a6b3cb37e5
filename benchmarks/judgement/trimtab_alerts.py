"""What trimtab raises over rows, by its defaults; as a program, to be measured beside others.

usage: python trimtab_alerts.py FOLDER

FOLDER holds a folder 0 with `reference.parquet`, `live.parquet` and `told.json`: the columns and
the rows of an hour. Prints the alarms as JSON.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd

from judgement.streams import Stream
from judgement.watching import Deployment, over


def main() -> None:
    """Print what was raised."""
    folder = Path(sys.argv[1]) / "0"
    told = json.loads((folder / "told.json").read_text(encoding="utf-8"))
    reference, live = (
        pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "live")
    )
    inputs = tuple(name for name in told["columns"] if name != "score")
    stream = Stream("", "", "binary", inputs, reference, live)
    found = over(Deployment(stream, told["rows"]), live)
    sys.stdout.write(json.dumps([vars(each) for each in found]) + "\n")


if __name__ == "__main__":
    main()
