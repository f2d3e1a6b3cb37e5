"""One pipeline run as a job of its own: steps, build, and a status file that tells how far it is.

The run registers nothing: the controller reads the finished status and decides what follows, so a
run that is killed at any point has changed nothing but its own folder and the caches.
"""

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from trimtab import errors
from trimtab.build.assemble import build, check_trust
from trimtab.build.locks import resolved_once
from trimtab.build.pipeline import PipelineRun, file_digest, run_steps
from trimtab.build.request import BuildRequest, ReferenceData, Tools
from trimtab.build.requirements import read_requirements
from trimtab.domain.deployment import PipelineSpec
from trimtab.domain.names import Digest
from trimtab.domain.release import EnvironmentLock
from trimtab.judge.own_loss import OwnLoss

STATUS = "status.json"


class RunStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What `runs/<id>/status.json` says. `release` is the digest of the manifest it stored."""

    state: Literal["running", "succeeded", "failed"]
    step: str = ""
    release: Digest | None = None
    error: str = ""
    hint: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RunJob:
    """A run: which pipeline, in which project, with which labelled rows (None: none served)."""

    id: str
    spec: PipelineSpec
    project: Path
    folder: Path
    labelled: Callable[[], pa.Table | None]


def run(job: RunJob, tools: Tools) -> RunStatus:
    """Carry the run out; the last status is also in its folder. Failures are told, not raised."""
    started = time.monotonic()
    job.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def tell(state: Literal["running", "succeeded", "failed"], **facts: str | None) -> RunStatus:
        seconds = time.monotonic() - started
        status = msgspec.convert({"state": state, "seconds": seconds, **facts}, RunStatus)
        write_status(job.folder, status)
        return status

    try:
        check_trust(job.spec.model, job.spec.format, job.spec.trust)
        tell("running", step="environment")
        pipeline = _prepared(job, tools)
        tell("running", step="steps")
        run_steps(pipeline, tools)
        tell("running", step="build")
        digest, _ = build(_request(job, pipeline.lock), tools)
    except errors.TrimtabError as problem:
        chain = " <- ".join([str(problem), *problem.causes()])
        return tell("failed", error=chain, hint=problem.hint)
    except OSError as problem:
        return tell("failed", error=f"{type(problem).__name__}: {problem}")
    return tell("succeeded", release=digest)


def write_status(folder: Path, status: RunStatus) -> None:
    """Replace the status file at once."""
    partial = folder / f".{STATUS}"
    with partial.open("wb") as stream:
        stream.write(msgspec.json.encode(status))
        stream.flush()
        os.fsync(stream.fileno())
    partial.rename(folder / STATUS)


def _prepared(job: RunJob, tools: Tools) -> PipelineRun:
    lock = _lock(job, tools)
    python = tools.environments.materialise(lock)
    return PipelineRun(
        job.spec, job.project, _files(job), job.folder, tools.cache / "steps", lock, python
    )


def _lock(job: RunJob, tools: Tools) -> EnvironmentLock:
    """The lock of the requirements file, resolved once: a retrain changes data, not libraries."""
    read = read_requirements(job.project / job.spec.requirements)
    key, *others = map(file_digest, read.files)
    if others:
        key = hashlib.sha256("".join([key, *others]).encode()).hexdigest()
    return resolved_once(key, read.lines, tools)


def _files(job: RunJob) -> dict[str, Path]:
    """The files that steps may ask for: the project's past data, and what was served since."""
    files = {}
    if job.spec.source is not None:
        files["source"] = job.project / job.spec.source
        if not files["source"].is_file():
            raise errors.Usage(
                errors.MISSING_FILE,
                "run pipeline",
                job.spec.source,
                "the model's `source` is not there",
                unchanged="what serves was not touched",
                hint=f"put the file there, or change `source` in [model.{job.spec.model}]",
            )
    table = job.labelled()
    files["labelled"] = job.folder / "labelled.parquet"
    pq.write_table(table if table is not None else pa.table({"label": []}), files["labelled"])
    return files


def _request(job: RunJob, lock: EnvironmentLock) -> BuildRequest:
    spec = job.spec
    output = job.folder / spec.steps[-1]
    reference = ReferenceData(
        path=output / "reference.parquet",
        target=spec.target,
        positive=spec.positive,
        time=spec.time,
        key=spec.key,
        segments=spec.segments,
        groups=spec.groups,
        loss=OwnLoss(spec.loss, spec.loss_bound) if spec.loss else None,
    )
    file = output / spec.model_file
    return BuildRequest(
        name=spec.model,
        format=spec.format,
        model=None if spec.format == "python" else file,
        entry=spec.model_file if spec.format == "python" else None,
        code=job.project,
        features=spec.features,
        reference=reference,
        requirements=job.project / spec.requirements,
        trust=spec.trust,
        engine=spec.engine,
        config=spec.config,
        # Not the run: the same data and code are the same release, whichever run made it.
        source="pipeline",
    )
