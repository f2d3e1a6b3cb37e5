"""Whether a configuration fits itself and the files around it."""

import ast
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from trimtab import errors
from trimtab.agent.listeners import is_loopback, parse_address
from trimtab.domain.deployment import DeploymentSpec, PipelineSpec, ProjectConfig, ServerSpec
from trimtab.domain.release import CODE_FORMATS
from trimtab.views.shapes import CheckView, ProblemView

NAMES = {"features": "features", "model_file": "Model"}
"""What a function or class of that key may be called."""


def check(folder: Path, config: ProjectConfig) -> CheckView:
    """Everything that is wrong, at once."""
    models = {spec.model for spec in config.pipelines}
    problems = [
        *_listeners(config.server),
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


def _listeners(spec: ServerSpec) -> Iterator[ProblemView]:
    """What `trimtab up` would find of the addresses only when it opens them."""
    taken: dict[str, str] = {}
    for key, address in (("inference", spec.inference), ("grpc", spec.grpc), ("admin", spec.admin)):
        # Port 0 is any that is free.
        if address is None or address.endswith(":0"):
            continue
        other = taken.setdefault(address, key)
        if other != key:
            problem = f"{address} is the address of server.{other} too"
            hint = f"give each a port of its own, or remove {key} to have its default"
            yield ProblemView(errors.BAD_VALUE, f"server.{key}", problem, hint)
    if not is_loopback(parse_address(spec.admin, "admin")[0]):
        yield ProblemView(
            errors.UNSAFE_BIND,
            "server.admin",
            f"{spec.admin} is not an address of this machine alone, and has no authentication",
            'admin = "127.0.0.1:8090"',
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
    promised, deadline = spec.objective.latency_seconds, spec.objective.deadline_seconds
    if promised > deadline:
        yield ProblemView(
            errors.BAD_VALUE,
            f"{where}.slo",
            f"a latency of {promised:g} s is promised, and no answer takes longer than the "
            f"deadline of {deadline:g} s",
            'a number is seconds; milliseconds are written "50ms"',
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
        yield from _named(folder, spec.features, where, "features")
    if spec.format in CODE_FORMATS and spec.trust != "code":
        yield ProblemView(
            errors.UNTRUSTED_FORMAT,
            f"{where}.trust",
            f"the format {spec.format} runs its author's code when it is loaded",
            'if you trust where the file comes from: trust = "code"',
        )
    if spec.format == "python":
        yield from _named(folder, spec.model_file, where, "model_file")


def _named(folder: Path, reference: str, where: str, key: str) -> Iterator[ProblemView]:
    """What is wrong with a `module:name` of the project's own code."""
    module, colon, name = reference.partition(":")
    base = folder / module.removesuffix(".py").replace(".", "/")
    path = next((each for each in _files(base) if each.is_file()), None)
    if not colon or module.endswith(".py"):
        yield ProblemView(
            errors.BAD_VALUE,
            f"{where}.{key}",
            f"{reference!r} is not written module:name",
            f'for example: {key} = "{base.name}:{name or NAMES[key]}"',
        )
    elif path is None:
        yield ProblemView(
            errors.MISSING_FILE,
            f"{where}.{key}",
            f"there is no file {base.name}.py",
            f"change {key}",
        )
    else:
        yield from _functions(path, (name,), f"{where}.{key}", _names)


def _files(base: Path) -> tuple[Path, Path]:
    """Where Python finds a module."""
    return base.parent / f"{base.name}.py", base / "__init__.py"


def _functions(
    path: Path,
    wanted: tuple[str, ...],
    where: str,
    known_of: Callable[[ast.Module], Collection[str]] | None = None,
) -> Iterator[ProblemView]:
    """Functions that the file does not have; the file is read, never run. It has those that it
    defines, unless `known_of` tells of more."""
    try:
        module = ast.parse(path.read_bytes())
    except SyntaxError as problem:
        text = f"{path.name} is not Python: {problem.msg} (line {problem.lineno})"
        yield ProblemView(errors.BAD_VALUE, where, text, f"edit {path.name}")
        return
    kinds = ast.FunctionDef if known_of is None else (ast.FunctionDef, ast.ClassDef)
    defined = [node.name for node in module.body if isinstance(node, kinds)]
    known = defined if known_of is None else known_of(module)
    kind = "class" if where.endswith("model_file") else "function"
    for name in wanted:
        if name not in known and "*" not in known:
            yield ProblemView(
                errors.BAD_VALUE,
                where,
                f"{path.name} has no {kind} {name!r}",
                f"it has: {', '.join(defined) or 'none'}",
            )


def _names(module: ast.Module) -> set[str]:
    """All that a module may have under a name, imported and assigned too; `*` may be anything."""
    found: set[str] = set()
    for node in ast.walk(module):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.alias(name=name, asname=other):
                found.add(other or name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case _:
                pass
    return found
