"""One step of a pipeline: a function of the user's file, called with what it asks for."""

import importlib.util
import inspect
import json
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .failures import place, told


@dataclass(frozen=True, slots=True)
class Step:
    """Which function to call. `inputs` are paths of earlier steps' outputs, by name; `params`
    the settings of the run; `out` the folder that the function fills."""

    module: Path
    function: str
    inputs: Mapping[str, str]
    params: Mapping[str, Any]
    out: Path


@dataclass(frozen=True, slots=True)
class StepResult:
    """How the step ended; `error` is None when it went well."""

    ok: bool
    seconds: float
    error: str | None


def run(step: Step) -> StepResult:
    """Call the function; what it raises is the result's `error`, its trace goes to stderr."""
    started = time.perf_counter()
    error = None
    try:
        step.out.mkdir(parents=True, exist_ok=True)
        function = _function(step)
        function(**_arguments(step, function))
    except (Exception, SystemExit) as raised:
        traceback.print_exc(file=sys.stderr)
        error = told(raised) + place(raised, step.module.resolve().parent)
    return StepResult(error is None, time.perf_counter() - started, error)


def write_result(path: Path, result: StepResult) -> None:
    """Write the result as JSON; a reader never sees half of it."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(json.dumps(asdict(result)) + "\n", encoding="utf-8")
    unfinished.replace(path)


def _function(step: Step) -> Callable[..., Any]:
    """Import the file by its path; its folder is where it finds its neighbours."""
    path = step.module.resolve()
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    function = getattr(module, step.function, None)
    if not callable(function):
        raise AttributeError(f"{path.name} has no function {step.function!r}")
    found: Callable[..., Any] = function
    return found


def _arguments(step: Step, function: Callable[..., Any]) -> dict[str, Any]:
    """What the function declares, out of what there is."""
    there: dict[str, Any] = {name: Path(path) for name, path in step.inputs.items()}
    there |= {"out": step.out, "params": dict(step.params)}
    declared = inspect.signature(function).parameters.values()
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in declared):
        return there
    required = [each.name for each in declared if each.default is inspect.Parameter.empty]
    if missing := [name for name in required if name not in there]:
        raise TypeError(f"{step.function} asks for {missing}; there are {sorted(there)}")
    return {each.name: there[each.name] for each in declared if each.name in there}
