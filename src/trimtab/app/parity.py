"""What a pipeline run computed for answers that were served, compared with what was served."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trimtab.backends.requestlog import FolderRequestLog
from trimtab.build.request import Narrate
from trimtab.build.run import RunJob
from trimtab.build.told import Named, told_by
from trimtab.domain.records import Comparison
from trimtab.domain.signature import Signature
from trimtab.errors import TrimtabError

MOST_ROWS = 10_000
WITHIN_SECONDS = 3600.0
"""How far from its answer the time of a value may be."""


def compare_run(
    job: RunJob, log: FolderRequestLog, deployment: str, signature: Signature, narrate: Narrate
) -> None:
    """Compare what the last step left, if it left something to compare.

    The release is made and stays so whatever becomes of this: what went wrong is narrated.
    """
    try:
        table = told_by(job.project, job.spec, job.folder / job.spec.steps[-1])
        if table is None:
            return
        made = _compared(log, deployment, table, signature, job.spec.time)
    except (TrimtabError, OSError, pa.ArrowException) as problem:
        narrate(f"parity: nothing was compared: {problem}")
        return
    narrate(
        f"parity: {made.compared} answers compared, {made.repeated} were before, "
        f"{made.unmatched} rows name none"
    )


def _compared(
    log: FolderRequestLog, deployment: str, path: Path, signature: Signature, time: str | None
) -> Comparison:
    key, total = log.key(deployment), Comparison()
    with pq.ParquetFile(path) as file:
        columns = file.schema_arrow.names
        inputs = [column.name for column in signature.inputs if not column.shape]
        named = Named.of(columns, inputs, key, time if time in columns else None)
        for batch in file.iter_batches(MOST_ROWS):
            telling = named.telling(pa.Table.from_batches([batch]), WITHIN_SECONDS)
            total += log.compare(deployment, telling.checked(signature, key), WITHIN_SECONDS)
    return total
