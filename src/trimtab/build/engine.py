"""Looking for a faster engine: convert, prove equal, measure, and take it or leave it.

The model itself is always a whole release. Whatever goes wrong here is one line of narration.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab import errors
from trimtab.build import acceptance
from trimtab.build.acceptance import Findings
from trimtab.build.locks import extended
from trimtab.build.records import keep, kept
from trimtab.build.reference import Reference
from trimtab.build.request import NO_RUN, Tools
from trimtab.build.stage import (
    Stage,
    ask,
    canonical,
    configure,
    probe,
    scored,
    stored_files,
)
from trimtab.domain.names import Digest
from trimtab.domain.release import Compiled, EnvironmentLock, Format, Manifest, Speed
from trimtab.worker import frames, tensors
from trimtab.worker import golden as replayed

GRAPH = "engine/model.onnx"
"""Where the engine is in the tree."""

_CONVERTERS: Mapping[Format, tuple[str, ...]] = {
    "skops": ("onnx>=1.18", "onnxruntime>=1.20", "skl2onnx>=1.19"),
    "joblib": ("onnx>=1.18", "onnxruntime>=1.20", "skl2onnx>=1.19"),
    "pickle": ("onnx>=1.18", "onnxruntime>=1.20", "skl2onnx>=1.19"),
    "lightgbm": ("onnx>=1.18", "onnxruntime>=1.20"),
    "xgboost": ("onnx>=1.18", "onnxruntime>=1.20"),
}
"""What is added to the release's environment to convert a model, and to nothing else."""

_RUNTIME = "onnxruntime"

_CONVERTED = 2
"""The version of the converters: what an earlier one found is looked for again."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What an engine is tried with. `outputs` are the model's own for the reference, thinned out
    where it is large."""

    stage: Stage
    reference: Reference | None
    outputs: Mapping[str, NDArray[Any]] | None

    def own(self, tools: Tools) -> Mapping[str, NDArray[Any]]:
        """The model's own outputs for the whole reference."""
        assert self.reference is not None
        assert self.outputs is not None
        if len(next(iter(self.outputs.values()))) == self.reference.rows:
            return self.outputs
        configure(self.stage)
        return scored(self.stage, self.reference, np.arange(self.reference.rows), tools)


class Declined(Exception):
    """There will be no engine; the text says why, for a person."""


class _Record(msgspec.Struct, frozen=True):
    """An engine that was taken, so that the same model is not tried twice."""

    tree: Digest
    environment: EnvironmentLock
    compiled: Compiled


class _Conversion(msgspec.Struct, frozen=True):
    """What the worker's mode `convert` printed (docs/wire.md)."""

    reason: str
    precision: str
    largest: float
    difference: float
    tried: int


def chosen(native: Manifest, trial: Trial, tools: Tools) -> Manifest:
    """The manifest with an engine if there is one that is proven equal and faster, else `native`.

    What was found is kept under the digest of `native`: the same model has the same engine, and
    building it again is the same release.
    """
    if trial.stage.request.engine == "native":
        return native
    if trial.stage.signature.tensors:
        tools.narrate("engine: native; only models of plain columns are converted")
        return native
    entry = _entry(native, tools)
    try:
        record = _known(entry, tools) or _found(native, trial, tools)
    except Declined as why:
        tools.narrate(f"engine: native; {why}")
        return native
    except errors.TrimtabError as problem:
        tools.narrate(f"engine: native; {' '.join(str(problem).split())[:300]}")
        return native
    keep(entry, record)
    compiled = record.compiled
    tools.narrate(
        f"engine: onnx; largest difference {compiled.difference:.1e} on {compiled.rows:,} rows "
        f"(tolerance {compiled.tolerance:.1e}); {acceptance.told(compiled.speeds)}"
    )
    return msgspec.structs.replace(
        native,
        tree=record.tree,
        environment=record.environment,
        engine="onnx",
        compiled=compiled,
    )


def _entry(native: Manifest, tools: Tools) -> Path:
    """Where the engine of a model is kept once it is found, however it was made."""
    model = msgspec.structs.replace(native, source=NO_RUN)
    digest = hashlib.sha256(canonical(model)).hexdigest()
    return tools.cache / "engines" / f"{digest}-{_CONVERTED}.json"


def _known(entry: Path, tools: Tools) -> _Record | None:
    """None where there is none, or it has lost a blob: what is found again takes its place."""
    record = kept(entry, _Record)
    if record is None:
        return None
    try:
        for each in tools.blobs.tree(record.tree).entries:
            tools.blobs.check(each.digest)
    except errors.Integrity:
        return None
    return record


def _found(native: Manifest, trial: Trial, tools: Tools) -> _Record:
    """Make the engine and prove it. Raises `Declined`."""
    packages = _converters(native)
    lock = extended(native.environment, packages, tools)
    sample = _sample(native, trial, tools)
    conversion = _converted(trial.stage, lock, sample, tools)
    served = extended(native.environment, [_pinned(lock, _RUNTIME)], tools)
    stage = replace(
        trial.stage,
        lock=served,
        python=tools.environments.materialise(served),
        engine=GRAPH,
    )
    found = _compared(native, conversion, trial, stage, tools)
    if acceptance.objection(found) is None:
        found = replace(found, speeds=_speeds(stage, sample, tools))
    if why := acceptance.objection(found):
        raise Declined(f"the converted model is not taken: {why}")
    compiled = Compiled(
        path=GRAPH,
        tolerance=found.tolerance,
        difference=found.difference,
        rows=found.rows,
        speeds=found.speeds,
    )
    return _Record(stored_files(stage, tools), served, compiled)


def _converters(native: Manifest) -> tuple[str, ...]:
    if native.format == "onnx":
        raise Declined("the model is a graph of ONNX already")
    if native.format not in _CONVERTERS:
        raise Declined(f"a model in the format {native.format} is code, which no converter reads")
    if native.golden.rows == 0:
        raise Declined("without reference data no other engine can be proven equal")
    return _CONVERTERS[native.format]


def _sample(native: Manifest, trial: Trial, tools: Tools) -> Path:
    """The golden set as a file for the worker's modes."""
    path = trial.stage.folder.parent / "golden.bin"
    path.write_bytes(tools.blobs.get(native.golden.blob))
    return path


def _converted(stage: Stage, lock: EnvironmentLock, sample: Path, tools: Tools) -> _Conversion:
    """Convert in an environment that has the converters; the graph lies among the files then."""
    graph = stage.folder / GRAPH
    graph.parent.mkdir(parents=True, exist_ok=True)
    converting = replace(stage, python=tools.environments.materialise(lock))
    asked = ("convert", "--inputs", str(sample), "--out", str(graph))
    conversion = msgspec.json.decode(ask(converting, tools, *asked), type=_Conversion)
    if conversion.reason:
        raise Declined(conversion.reason)
    return conversion


def _pinned(lock: EnvironmentLock, name: str) -> str:
    (version,) = (package.version for package in lock.packages if package.name == name)
    return f"{name}=={version}"


def _compared(
    native: Manifest, conversion: _Conversion, trial: Trial, stage: Stage, tools: Tools
) -> Findings:
    """The answers of the engine that `stage` asks beside the model's own, for the golden set and
    the whole reference. The stage is left configured for the engine."""
    assert trial.reference is not None
    own = trial.own(tools)
    configure(stage)
    (frame,) = frames.decode_all(tools.blobs.get(native.golden.blob))
    inputs, expected = frames.tensors_of(frame, "inputs", "outputs")
    answers = probe(stage, tools, inputs, [64, 1, native.golden.rows])
    pairs = [(expected, _tensors(answer)) for answer in answers]
    whole = scored(stage, trial.reference, np.arange(trial.reference.rows), tools)
    pairs.append((_tensors(own), _tensors(whole)))
    learned, precision = native.golden.tolerance, conversion.precision
    allowed = acceptance.tolerance(learned, precision, conversion.largest)
    found = [replayed.compare(one, other, native.signature, allowed) for one, other in pairs]
    return Findings(
        rows=native.golden.rows + trial.reference.rows,
        tolerance=allowed,
        difference=max(each.difference for each in found),
        problems=tuple(dict.fromkeys(problem for each in found for problem in each.problems)),
        tried=conversion.difference,
        rounding=allowed / conversion.largest if conversion.largest else 0.0,
    )


def _tensors(outputs: Mapping[str, NDArray[Any]]) -> list[frames.Tensor]:
    return [tensors.tensor_of(name, values) for name, values in outputs.items()]


def _speeds(stage: Stage, sample: Path, tools: Tools) -> tuple[Speed, ...]:
    """Both engines, measured in one process that serves as a worker does."""
    answer = json.loads(ask(stage, tools, "measure", "--inputs", str(sample)))
    return tuple(Speed(each["rows"], each["native"], each["engine"]) for each in answer["sizes"])
