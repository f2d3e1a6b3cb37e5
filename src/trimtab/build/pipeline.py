"""Making a release again: content-addressed steps, cached and resumable.

A step is a function of the user's pipeline file. Its arguments name what it needs: earlier steps
(their output folders), `source` and `labelled` (files), `params`, and `out` (a fresh folder to
write to). Its key is a digest over everything that can change its output, so a step whose key is
known is not run again, and a run that was killed resumes where it stopped.
"""

import ast
import hashlib
import json
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec
import rfc8785

from trimtab import errors
from trimtab.build.records import keep, kept
from trimtab.build.request import Tools
from trimtab.build.staging import imported
from trimtab.domain.deployment import PipelineSpec
from trimtab.domain.names import Digest
from trimtab.domain.release import EnvironmentLock

RUN_LOG = "log.txt"
"""In the folder of a run: what its steps print, and the trace of one that failed."""
EVERYTHING = "**"
"""Among the arguments of a step: it takes whatever there is, and so it depends on all of it."""


class StepRecord(msgspec.Struct, frozen=True):
    """A finished step: the tree of its output folder and how long it took."""

    step: str
    key: str
    tree: Digest
    seconds: float
    cached: bool = False


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """One run of a pipeline. `files` are `source` and `labelled`; `folder` is the run's own."""

    spec: PipelineSpec
    project: Path
    files: Mapping[str, Path]
    folder: Path
    cache: Path
    lock: EnvironmentLock
    python: Path


def run_steps(run: PipelineRun, tools: Tools) -> tuple[StepRecord, ...]:
    """Run every step in order, or take it from the cache; outputs lie in `folder/NAME`.

    Raises `Permanent` TT-605 with the step's own error; earlier steps stay cached.
    """
    inputs = {name: file_digest(path) for name, path in run.files.items()}
    paths = dict(run.files)
    records = []
    for step in run.spec.steps:
        wanted = arguments(run.project, run.spec.module, step)
        if EVERYTHING in wanted:
            wanted = [*(name for name in wanted if name != EVERYTHING), *paths]
        _check_wanted(run, step, wanted, paths)
        key = step_key(run, step, {name: inputs[name] for name in wanted if name in inputs})
        record = _cached(run, step, key, tools) or _executed(run, step, key, paths, tools)
        records.append(record)
        inputs[step], paths[step] = record.tree, run.folder / step
        word = "cached" if record.cached else f"{record.seconds:.1f} s"
        tools.narrate(f"step {step} ({word})")
    return tuple(records)


def step_key(run: PipelineRun, step: str, inputs: Mapping[str, str]) -> str:
    """Digest over the step's code, inputs, parameters and environment."""
    return hashlib.sha256(
        rfc8785.dumps(
            {
                "step": step,
                "code": _code_digest(run.project, run.spec.module),
                "inputs": dict(inputs),
                "params": dict(run.spec.params),
                "environment": msgspec.to_builtins(run.lock),
            }
        )
    ).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _code_digest(project: Path, module: str) -> str:
    """Digest over the pipeline's file and every project file that it imports: the folder that the
    pipeline's file is in is where Python looks for them."""
    digests: dict[str, str] = {}
    waiting, folder = [module], PurePosixPath(module).parent
    while waiting:
        name = waiting.pop()
        path = project / name
        if name in digests or not path.is_file():
            continue
        digests[name] = file_digest(path)
        for found in imported(path, name.removesuffix(".py").replace("/", ".")):
            for base in (found.replace(".", "/"), (folder / found.replace(".", "/")).as_posix()):
                waiting += [f"{base}.py", f"{base}/__init__.py"]
    return hashlib.sha256(rfc8785.dumps(dict(digests))).hexdigest()


def arguments(project: Path, module: str, step: str) -> list[str]:
    """The names of the step function's parameters, `EVERYTHING` for `**name`.

    Raises `Permanent` TT-605 without such a function."""
    path = project / module
    if not path.is_file():
        raise _broken(step, f"there is no {module} in the project", "trimtab check")
    try:
        found = ast.parse(path.read_bytes()).body
    except SyntaxError as cause:
        problem = f"{module}, line {cause.lineno}: {cause.msg}"
        raise _broken(step, problem, f"python -m py_compile {module}") from cause
    for node in found:
        if isinstance(node, ast.FunctionDef) and node.name == step:
            named = [each.arg for each in (*node.args.args, *node.args.kwonlyargs)]
            return [*named, EVERYTHING] if node.args.kwarg else named
    raise _broken(step, f"{module} has no function {step!r}", "compare `steps` with it")


def _check_wanted(
    run: PipelineRun, step: str, wanted: Sequence[str], known: Mapping[str, Path]
) -> None:
    unknown = [name for name in wanted if name not in {*known, "params", "out"}]
    if unknown:
        have = ", ".join([*known, "params", "out"])
        raise _broken(
            step, f"argument {unknown[0]!r} is no earlier step or file", f"it may take: {have}"
        )


def _cached(run: PipelineRun, step: str, key: str, tools: Tools) -> StepRecord | None:
    """None without one, or where it lost a blob: what the step makes again takes its place."""
    record = kept(run.cache / f"{key}.json", StepRecord)
    if record is None:
        return None
    out = run.folder / step
    if out.exists():
        shutil.rmtree(out)
    try:
        tools.blobs.checkout(record.tree, out)
    except errors.Integrity:
        return None
    return msgspec.structs.replace(record, cached=True)


def _executed(
    run: PipelineRun, step: str, key: str, paths: Mapping[str, Path], tools: Tools
) -> StepRecord:
    out = run.folder / step
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    started = time.monotonic()
    _call(run, step, paths, tools)
    seconds = time.monotonic() - started
    record = StepRecord(step, key, tools.blobs.put_folder(out), seconds)
    keep(run.cache / f"{key}.json", record)
    return record


def _call(run: PipelineRun, step: str, paths: Mapping[str, Path], tools: Tools) -> None:
    result = run.folder / f"{step}.result.json"
    result.unlink(missing_ok=True)
    arguments = [
        "step",
        "--module",
        str(run.project / run.spec.module),
        "--function",
        step,
        "--inputs",
        json.dumps({name: str(path) for name, path in paths.items()}),
        "--params",
        json.dumps(dict(run.spec.params)),
        "--out",
        str(run.folder / step),
        "--result",
        str(result),
    ]
    tools.runner.run(run.python, arguments, tools.serving)
    problem = "its process ended before the step did, as when it is killed for want of memory"
    if result.is_file():
        outcome = json.loads(result.read_text(encoding="utf-8"))
        problem = "" if outcome["ok"] else str(outcome["error"])
    if problem:
        tools.environments.examine(run.lock)
        raise _broken(step, problem, f"cat {shlex.quote(str(run.folder / RUN_LOG))}")


def _broken(step: str, problem: str, hint: str) -> errors.Permanent:
    return errors.Permanent(
        errors.RUN_FAILED,
        "run pipeline step",
        step,
        problem,
        unchanged="no release was made; what serves was not touched; finished steps are kept",
        hint=hint,
    )
