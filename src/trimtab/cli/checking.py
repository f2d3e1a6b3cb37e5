"""Whether a configuration fits the files around it."""

import ast
from collections.abc import Iterator
from pathlib import Path

from trimtab import errors
from trimtab.domain.deployment import DeploymentSpec, PipelineSpec, ProjectConfig
from trimtab.views.shapes import CheckView, ProblemView


def check(folder: Path, config: ProjectConfig) -> CheckView:
    """Everything that is wrong, at once."""
    models = {spec.model for spec in config.pipelines}
    problems = [
        *(problem for spec in config.pipelines for problem in _pipeline(folder, spec)),
        *(problem for spec in config.deployments for problem in _deployment(spec, models)),
    ]
    return CheckView(
        ok=not problems,
        folder=str(folder),
        deployments=tuple(spec.name for spec in config.deployments),
        models=tuple(spec.model for spec in config.pipelines),
        problems=tuple(problems),
    )


def _deployment(spec: DeploymentSpec, models: set[str]) -> Iterator[ProblemView]:
    where = f"deployment.{spec.name}"
    if spec.retrain.when and spec.model not in models:
        yield ProblemView(
            errors.NO_PIPELINE,
            f"{where}.retrain",
            f"model {spec.model} has no pipeline to retrain with",
            f"add a [model.{spec.model}] table, or remove retrain.when",
        )
    if spec.scale.min > spec.scale.max:
        yield ProblemView(
            errors.BAD_VALUE,
            f"{where}.scale",
            f"min {spec.scale.min} is above max {spec.scale.max}",
            "raise scale.max",
        )


def _pipeline(folder: Path, spec: PipelineSpec) -> Iterator[ProblemView]:
    where = f"model.{spec.model}"
    named = {"pipeline": spec.module, "requirements": spec.requirements, "source": spec.source}
    missing = {key: name for key, name in named.items() if name and not (folder / name).is_file()}
    for key, name in missing.items():
        yield ProblemView(
            errors.MISSING_FILE,
            f"{where}.{key}",
            f"there is no file {name}",
            f"make {name}, or change {key}",
        )
    if "pipeline" not in missing:
        yield from _functions(folder / spec.module, spec.steps, f"{where}.steps")
    if spec.features:
        yield from _features(folder, spec.features, f"{where}.features")


def _features(folder: Path, features: str, where: str) -> Iterator[ProblemView]:
    module, _, function = features.partition(":")
    path = folder / f"{module.removesuffix('.py').replace('.', '/')}.py"
    if not path.is_file():
        yield ProblemView(
            errors.MISSING_FILE, where, f"there is no file {path.name}", "change features"
        )
    else:
        yield from _functions(path, (function,), where)


def _functions(path: Path, wanted: tuple[str, ...], where: str) -> Iterator[ProblemView]:
    """Functions that the file does not define; the file is read, never run."""
    try:
        body = ast.parse(path.read_bytes()).body
    except SyntaxError as problem:
        text = f"{path.name} is not Python: {problem.msg} (line {problem.lineno})"
        yield ProblemView(errors.BAD_VALUE, where, text, f"edit {path.name}")
        return
    known = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    for name in wanted:
        if name not in known:
            yield ProblemView(
                errors.BAD_VALUE,
                where,
                f"{path.name} has no function {name!r}",
                f"it has: {', '.join(known) or 'none'}",
            )
