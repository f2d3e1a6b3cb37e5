"""Telling the server what training computed, from a table: Parquet or CSV, a piece at a time."""

import time
from pathlib import Path

import msgspec
import pyarrow as pa

from trimtab.build.told import ID, Named
from trimtab.cli.api import Api
from trimtab.domain.records import Comparison
from trimtab.scoring.fit import Deployment
from trimtab.scoring.table import Source
from trimtab.views.sent_shapes import ParityView

MOST_ROWS = 10_000
MOST_CELLS = 400_000
"""A request stays below what the server reads, texts of ordinary length given."""


def opened(path: Path, deployment: Deployment) -> Source:
    """A file whose columns have the types of the deployment. Raises `Usage` TT-210 or TT-904."""
    return Source(path, {ID: pa.string(), **deployment.csv_types()})


def named(columns: list[str], deployment: Deployment, time: str | None) -> Named:
    """How the columns of a file are read. Raises `Usage` TT-803."""
    inputs = [each for each in deployment.inputs if each not in deployment.tensors]
    return Named.of(columns, inputs, deployment.key, time)


def compared(
    api: Api, deployment: str, source: Source, columns: Named, within: float
) -> ParityView:
    """Tell the server all rows of a file; what became of them."""
    started, total = time.monotonic(), Comparison()
    for table in source.chunks(max(1, min(MOST_ROWS, MOST_CELLS // len(columns.values)))):
        order = msgspec.to_builtins(columns.telling(table, within))
        made = api.post(ParityView, "deployments", deployment, "parity", **order)
        total += Comparison(made.compared, made.repeated, made.unmatched)
    seconds = time.monotonic() - started
    return ParityView(deployment, total.compared, total.repeated, total.unmatched, seconds)
