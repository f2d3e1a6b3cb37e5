"""Carrying out a pipeline run, in a process of its own or in the command that asked for it."""

import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import msgspec
import pyarrow as pa

from trimtab import errors
from trimtab.app.parity import compare_run
from trimtab.app.projects import Project
from trimtab.app.releases import built, register, registered, tools
from trimtab.app.stores import request_log
from trimtab.backends.home import open_home
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.build.pipeline import RUN_LOG
from trimtab.build.request import Narrate
from trimtab.build.run import RunJob, run
from trimtab.domain import layout
from trimtab.domain.deployment import PipelineSpec, ProjectConfig
from trimtab.domain.names import Digest
from trimtab.domain.release import EngineChoice, Manifest
from trimtab.views.shapes import BuildView


@dataclass(frozen=True, slots=True)
class RunOrder:
    """One run: `until` bounds the labels that it may use, in event time; without a deployment it
    uses none. `engine` is None for what the model's table says."""

    run: str
    model: str
    deployment: str | None = None
    until: float | None = None
    engine: EngineChoice | None = None


def run_pipeline(
    project: Project, model: str, narrate: Narrate, engine: EngineChoice | None = None
) -> BuildView:
    """Make a release by the model's pipeline from past data alone, and register it.

    `engine` goes before what the model's table in `trimtab.toml` says."""
    started = time.monotonic()
    name = f"{model}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
    order = RunOrder(name, model, engine=engine)
    digest = carry_out(project, order, narrate)
    new = not registered(project, digest)
    release = register(project, digest)
    return built(release, release.manifest, time.monotonic() - started, new=new)


def carry_out(project: Project, order: RunOrder, narrate: Narrate) -> Digest:
    """Carry out a pipeline run here and now; what its steps print is in `log.txt` of its folder.

    Raises `Permanent` TT-605 when it fails."""
    folder = open_home(project.home) / layout.RUNS / order.run
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / RUN_LOG).open("a", encoding="utf-8") as log:
        return _carried_out(project, order, narrate, folder, log)


def _carried_out(
    project: Project, order: RunOrder, narrate: Narrate, folder: Path, log: IO[str]
) -> Digest:
    home = open_home(project.home)
    requests = request_log(home, project.config)
    spec = pipeline_of(project.config, order.model)
    job = RunJob(
        id=order.run,
        spec=msgspec.structs.replace(spec, engine=order.engine or spec.engine),
        project=project.folder,
        folder=folder,
        labelled=partial(_labelled, requests, order),
    )
    kit = tools(home, narrate, log)
    status = run(job, kit)
    if status.release is None:
        raise errors.Permanent(
            errors.RUN_FAILED,
            "run pipeline",
            order.model,
            status.error,
            unchanged="no release was made; what serves was not touched",
            hint=status.hint,
        )
    if order.deployment is not None:
        manifest = msgspec.json.decode(kit.blobs.get(status.release), type=Manifest)
        compare_run(job, requests, order.deployment, manifest.signature, narrate)
    return status.release


def pipeline_of(config: ProjectConfig, model: str) -> PipelineSpec:
    """The pipeline of a model. Raises `NotFound` TT-606."""
    for spec in config.pipelines:
        if spec.model == model:
            return spec
    known = ", ".join(f"[model.{spec.model}]" for spec in config.pipelines)
    raise errors.NotFound(
        errors.NO_PIPELINE,
        "run pipeline",
        model,
        f"trimtab.toml has no [model.{model}]" + (f" (it has {known})" if known else ""),
        unchanged="nothing was built",
        hint=f"give --model FILE, or add [model.{model}] with pipeline, steps and requirements",
    )


def _labelled(log: FolderRequestLog, order: RunOrder) -> pa.Table | None:
    if order.deployment is None:
        return None
    return log.labelled(order.deployment, float("inf") if order.until is None else order.until)
