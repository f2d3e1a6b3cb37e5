"""From a model, its code and its reference data to an immutable release."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab import errors
from trimtab.build import engine, golden, remarks
from trimtab.build.reference import Reference, read_reference, watched
from trimtab.build.request import BuildRequest, Tools
from trimtab.build.requirements import requirement_lines
from trimtab.build.scratch import scratch
from trimtab.build.stage import Stage, ask, canonical, configure, probe, scored, stored_files
from trimtab.build.staging import stage_code, stage_model
from trimtab.domain.figures import within
from trimtab.domain.names import Digest, checked_name
from trimtab.domain.plurals import many, some
from trimtab.domain.release import (
    CODE_FORMATS,
    EnvironmentLock,
    Format,
    Golden,
    Manifest,
)
from trimtab.domain.signature import Column, Datatype, Output, Signature, Task
from trimtab.judge import profile as judged
from trimtab.worker import frames, tensors

FLOATS = frozenset({Datatype.FP16, Datatype.FP32, Datatype.FP64})
MOST_PROFILED = 50_000
"""Reference rows that are scored for the profile; more are thinned out evenly."""
MOST_TOLD = 20
"""Classes that are named while a release is built."""
BY_PLACE = frozenset({"lightgbm", "xgboost"})
"""Formats of models that know the names of their columns and yet take them by their places."""


def build(request: BuildRequest, tools: Tools) -> tuple[Digest, Manifest]:
    """Make a release and store it; returns its digest. Nothing is visible before the last step.

    Raises `Usage` for what was asked wrongly (TT-104, TT-203…205, TT-210, TT-301) and `Permanent`
    when the environment, the model or the feature code fails (TT-206, TT-207, TT-303).
    """
    checked_name(request.name, "model")
    check_trust(request.name, request.format, request.trust)
    _check_settings(request)
    for line in remarks.of_settings(request.config):
        tools.narrate(line)
    reference = read_reference(request.reference) if request.reference else None
    if reference:
        told = f"{many(reference.rows, 'row')}, {many(len(reference.columns), 'input')}"
        tools.narrate(f"reference: {told}")
        if reference.labels is None and request.reference and request.reference.target:
            tools.narrate("labels: several values each, so there is no quality to watch")
        for line in remarks.of_labels(reference):
            tools.narrate(line)
    else:
        tools.narrate("reference: none, so nothing is known to replay or to judge this release by")
    with scratch(tools.scratch, "build-") as folder:
        stage = _staged(request, reference, folder / "files", tools)
        _check_loss(reference, stage.signature)
        outputs = _scored(stage, reference, tools)
        profile = _profiled(reference, stage.signature, outputs, tools)
        gold = _golden(stage, reference, tools)
        native = _manifest(stage, reference, profile, gold, tools)
        manifest = engine.chosen(native, engine.Trial(stage, reference, outputs), tools)
        return tools.blobs.put(canonical(manifest)), manifest


def check_trust(model: str, format_: Format, trust: str) -> None:
    """Raises `Usage` TT-204 for a format that runs code and was not trusted to."""
    if format_ in CODE_FORMATS and trust != "code":
        raise errors.Usage(
            errors.UNTRUSTED_FORMAT,
            "build",
            model,
            f"the format {format_} runs its author's code when it is loaded",
            unchanged="no release was made and the file was not opened",
            hint="if you trust where the file comes from: add --trust code, or in trimtab.toml "
            f'trust = "code" to [model.{model}]',
        )


def _check_settings(request: BuildRequest) -> None:
    """Raises `Usage` TT-102 for a value that a setting of the worker cannot have."""
    for name, values in remarks.SETTINGS.items():
        value = request.config.get(name)
        if values and value is not None and value not in values:
            raise errors.Usage(
                errors.BAD_VALUE,
                "build",
                name,
                f"{value!r} is not one of {', '.join(values)}",
                unchanged="no release was made",
                hint=f"--set {name}={values[0]}",
            )


def _check_loss(reference: Reference | None, signature: Signature) -> None:
    """Raises `Usage` TT-102 for a loss that cannot be calculated of the reference."""
    loss = None if reference is None else reference.loss
    if reference is None or loss is None:
        return
    problem = loss.unfit(signature)
    if reference.labels is None:
        problem = "there are no labels to calculate it from: add --target COLUMN"
    if problem:
        raise errors.Usage(
            errors.BAD_VALUE,
            "build",
            "loss",
            problem,
            unchanged="no release was made",
            hint='--loss "abs(label - prediction)" --loss-bound 60',
        )


def _staged(
    request: BuildRequest, reference: Reference | None, folder: Path, tools: Tools
) -> Stage:
    folder.mkdir()
    if request.model is None:
        model_path = request.entry or ""
        stage_code(model_path.partition(":")[0], request.code, folder)
    else:
        model_path = stage_model(request.model, folder)
    if request.features:
        stage_code(request.features.partition(":")[0], request.code, folder)
    lock = request.lock or _locked(request, tools)
    tools.narrate(f"environment: {len(lock.packages)} locked packages")
    python = tools.environments.materialise(lock)
    inputs = reference.columns if reference else ()
    stage = Stage(folder, python, request, model_path, lock, Signature(inputs, ()))
    return _with_signature(stage, reference, tools)


def _locked(request: BuildRequest, tools: Tools) -> EnvironmentLock:
    has_features = request.features is not None
    lines = requirement_lines(request.requirements, request.format, has_features)
    return tools.environments.lock(lines)


def _with_signature(stage: Stage, reference: Reference | None, tools: Tools) -> Stage:
    """Fill the signature by what the model tells about itself and what the labels hold."""
    configure(stage)
    try:
        facts = json.loads(ask(stage, tools, "describe"))
    except errors.Permanent:
        tools.environments.examine(stage.lock)
        raise
    for line in remarks.of_loading(facts["warnings"]):
        tools.narrate(line)
    inputs = _inputs(stage, facts)
    task, classes = _task(facts, reference, stage.request)
    by_name = facts["features"] is None or bool(facts["feature_names"])
    bare = replace(stage, signature=Signature(inputs, ()), by_name=by_name)
    outputs = _class_outputs(task, classes) or _asked_for_outputs(bare, reference, tools)
    if task == "regression":
        task, outputs = _regression(outputs)
    signature = Signature(inputs, outputs, task, classes)
    tools.narrate(f"signature: {many(len(inputs), 'input')}, {task}{_of_classes(task, classes)}")
    if task == "other":
        told = ", ".join(f"{each.name} {[*each.shape] or ''}".strip() for each in outputs)
        tools.narrate(f"outputs: {told}")
    fitted = facts["feature_names"] if stage.request.features is None else ()
    for line in remarks.of_model(reference, task, facts["classes"], fitted):
        tools.narrate(line)
    ready = replace(bare, signature=signature)
    configure(ready)
    return ready if reference is None else _asked_for_gaps(ready, reference, tools)


def _asked_for_outputs(
    stage: Stage, reference: Reference | None, tools: Tools
) -> tuple[Output, ...]:
    """The outputs of a model that only it knows, by asking it for two rows."""
    configure(stage)
    columns = stage.signature.inputs
    rows = _blank(columns) if reference is None else reference.inputs
    inputs = golden.input_tensors(columns, rows, slice(2))
    (found,) = probe(stage, tools, inputs, [0])
    return tuple(
        Output(name, Datatype(tensors.datatype_of(values)), values.shape[1:])
        for name, values in found.items()
    )


def _blank(columns: Sequence[Column]) -> dict[str, NDArray[Any]]:
    """Two rows of zeros and empty texts."""
    return {
        column.name: np.full(2, "", dtype=object)
        if column.datatype is Datatype.BYTES
        else np.zeros((2, *column.shape))
        for column in columns
    }


def _asked_for_gaps(stage: Stage, reference: Reference, tools: Tools) -> Stage:
    """Let numbers be missing where the model can do without them, by asking it.

    A reference without gaps does not say that a feed will never have one. Every floating-point
    column without missing values is blanked in a row of its own; if the model answers all these
    rows, the columns may be missing, and otherwise only those that were missing in the reference.
    """
    columns = stage.signature.inputs
    whole = [c for c in columns if c.datatype in FLOATS and not c.nullable and not c.shape]
    if not whole:
        return stage
    rows = np.arange(len(whole)) % reference.rows
    blanked = {name: values[rows].copy() for name, values in reference.inputs.items()}
    for row, column in enumerate(whole):
        blanked[column.name][row] = np.nan
    loose = tuple(msgspec.structs.replace(c, nullable=True) if c in whole else c for c in columns)
    asked = replace(stage, signature=msgspec.structs.replace(stage.signature, inputs=loose))
    configure(asked)
    try:
        probe(asked, tools, golden.input_tensors(loose, blanked, slice(None)), [0])
    except errors.Permanent:
        configure(stage)
        return stage
    tools.narrate(f"missing values: it answers rows without {', '.join(c.name for c in whole)} too")
    return asked


def _inputs(stage: Stage, facts: Mapping[str, Any]) -> tuple[Column, ...]:
    columns = stage.signature.inputs
    if not columns:
        return _named_inputs(facts)
    by_place = stage.request.format in BY_PLACE or stage.frame == "matrix"
    if not by_place or stage.request.features is not None:
        return columns
    return in_fitted_order(columns, facts["feature_names"])


def in_fitted_order(columns: Sequence[Column], fitted: Sequence[str]) -> tuple[Column, ...]:
    """The columns in the order of `fitted`, or as they are where those are not their names.

    LightGBM writes `_` for spaces in names."""
    named = {column.name: column for column in columns}
    if set(named) != set(fitted):
        named = {column.name.replace(" ", "_"): column for column in columns}
    if set(named) != set(fitted) or len(named) != len(columns):
        return tuple(columns)
    return tuple(named[name] for name in fitted)


def _named_inputs(facts: Mapping[str, Any]) -> tuple[Column, ...]:
    if facts["inputs"]:
        return tuple(
            Column(name, Datatype(datatype), shape=tuple(shape))
            for name, datatype, shape in facts["inputs"]
        )
    names = facts["feature_names"] or [f"x{index}" for index in range(facts["features"] or 0)]
    if not names:
        raise errors.Usage(
            errors.BAD_REFERENCE,
            "build",
            "signature",
            "the model does not tell its inputs and their sizes, and there is no reference data",
            unchanged="no release was made",
            hint="add --reference FILE (.parquet, .csv or .npz) --target COLUMN",
        )
    return tuple(Column(str(name), Datatype.FP64) for name in names)


def _task(
    facts: Mapping[str, Any], reference: Reference | None, request: BuildRequest
) -> tuple[Task, tuple[str, ...]]:
    task: Task = facts["task"]
    if task not in {"binary", "multiclass"}:
        return task, ()
    classes = list(facts["classes"]) or _classes_of(reference)
    positive = request.reference.positive if request.reference else None
    if task == "binary" and positive is not None:
        if positive not in classes:
            raise errors.Usage(
                errors.BAD_REFERENCE,
                "build",
                request.name,
                f"the positive label {positive!r} is none of the model's classes {classes}",
                unchanged="no release was made",
                hint=f"--positive {classes[-1]}",
            )
        classes.sort(key=lambda name: name == positive)
    _check_labels(reference, classes, request.name)
    return task, tuple(classes)


def _check_labels(reference: Reference | None, classes: Sequence[str], name: str) -> None:
    """A model that was fitted on codes of the labels would be wrong in every row."""
    labels = None if reference is None else reference.labels
    known = set() if labels is None else {label for label in labels if label is not None}
    if known.isdisjoint(classes) and known:
        raise errors.Usage(
            errors.BAD_REFERENCE,
            "build",
            name,
            f"no label of the reference, such as {some(sorted(known), 3)}, is one of the model's "
            f"classes {some(classes, MOST_TOLD)}",
            unchanged="no release was made",
            hint="write the labels as the model was fitted on them",
        )


def _of_classes(task: Task, classes: Sequence[str]) -> str:
    """Which class a score is of, in words."""
    if not classes:
        return ""
    if task == "binary":
        return f" (score is the probability of {classes[-1]!r}, not {classes[0]!r})"
    return f" (scores are of {some(classes, MOST_TOLD)}, in this order)"


def _classes_of(reference: Reference | None) -> list[str]:
    if reference is None or reference.labels is None:
        return ["0", "1"]
    return numbered({label for label in reference.labels if label is not None})


def numbered(labels: Iterable[str]) -> list[str]:
    """Labels in the order in which models number them: numbers by their value, others as texts."""
    try:
        # Of one number in two spellings the order would be that of a set.
        return sorted(labels, key=lambda label: (float(label), label))
    except ValueError:
        return sorted(labels)


def _class_outputs(task: Task, classes: Sequence[str]) -> tuple[Output, ...]:
    label = Output("label", Datatype.BYTES)
    if task == "binary":
        return (Output("score", Datatype.FP64), label)
    if task == "multiclass":
        return (Output("scores", Datatype.FP64, (len(classes),)), label)
    return ()


def _regression(found: tuple[Output, ...]) -> tuple[Task, tuple[Output, ...]]:
    """One number a row, in whatever type it came; a regression of several values at once is a task
    that only the model knows."""
    if [math.prod(each.shape) for each in found] == [1]:
        return "regression", (Output("prediction", Datatype.FP64),)
    return "other", found


def _scored(stage: Stage, reference: Reference | None, tools: Tools) -> golden.Columns | None:
    return scored(stage, reference, _profiled_rows(reference), tools) if reference else None


def _profiled_rows(reference: Reference) -> NDArray[np.int64]:
    count = min(reference.rows, MOST_PROFILED)
    return np.linspace(0, reference.rows - 1, count).round().astype(np.int64)


def _profiled(
    reference: Reference | None, signature: Signature, outputs: golden.Columns | None, tools: Tools
) -> Digest | None:
    """Store what the reference looked like to this model."""
    if reference is None or outputs is None:
        return None
    positions = _profiled_rows(reference)
    seen = judged.Reference(
        signature,
        watched(reference, positions),
        outputs,
        None if reference.labels is None else reference.labels[positions],
        None if reference.times is None else reference.times[positions],
        reference.segments,
        reference.groups,
        reference.loss,
    )
    profile = judged.build_profile(seen)
    for quality in profile.quality:
        value, *ends = map(quality.told, (quality.value, quality.lower, quality.upper))
        tools.narrate(f"reference {quality.metric}: {within(value, *ends)} on {quality.n:,} rows")
    for line in remarks.of_quality(profile.quality, signature.classes):
        tools.narrate(line)
    return tools.blobs.put(canonical(profile))


def _golden(stage: Stage, reference: Reference | None, tools: Tools) -> Golden:
    """Store the golden set with the tolerance that the model's own numerics need."""
    if reference is None:
        empty = frames.encode_tensors(
            frames.Kind.GOLDEN, {"rows": 0}, {"inputs": [], "outputs": []}
        )
        return Golden(tools.blobs.put(b"".join(empty)), 0, 0.0, True)
    columns = stage.signature.inputs
    positions = golden.golden_rows(columns, reference.inputs, reference.rows)
    inputs = golden.input_tensors(columns, reference.inputs, positions)
    base, *others = probe(stage, tools, inputs, [64, 1, len(positions)])
    profiles = list(tools.perturbed)
    with ThreadPoolExecutor(max_workers=2) as pool:
        probes = pool.map(lambda profile: probe(stage, tools, inputs, [64], profile), profiles)
        others += [outputs for probe in probes for outputs in probe]
    # A score next to the threshold may decide either way, so labels say nothing of their own.
    decided = ("label",) if stage.signature.classes else ()
    spread = max(golden.largest_difference(base, other, decided) for other in others)
    if not math.isfinite(spread):
        raise _unsteady(stage.request)
    tolerance = spread * golden.SAFETY
    word = "bit-stable" if spread == 0.0 else f"tolerance {tolerance:.1e}"
    tools.narrate(f"golden set: {len(positions)} rows, {word} over {len(others) + 1} profiles")
    outputs = [tensors.tensor_of(name, values) for name, values in base.items()]
    stored = frames.encode_tensors(
        frames.Kind.GOLDEN, {"rows": len(positions)}, {"inputs": inputs, "outputs": outputs}
    )
    return Golden(tools.blobs.put(b"".join(stored)), len(positions), tolerance, spread == 0.0)


def _unsteady(request: BuildRequest) -> errors.Permanent:
    return errors.Permanent(
        errors.MODEL_FAILED,
        "build",
        request.name,
        "the same rows get other outputs in batches of another size or on other numeric kernels",
        unchanged="no release was made",
        hint="look for code that depends on the other rows of a batch, or on the time",
    )


def _manifest(
    stage: Stage,
    reference: Reference | None,
    profile: Digest | None,
    gold: Golden,
    tools: Tools,
) -> Manifest:
    """Everything that the release is, with the model itself to serve; its files are stored."""
    request = stage.request
    return Manifest(
        model=request.name,
        format=request.format,
        model_path=stage.model_path,
        features=request.features,
        frame=stage.frame,
        tree=stored_files(stage, tools),
        environment=stage.lock,
        data=reference.manifest if reference else None,
        signature=stage.signature,
        execution=dict(tools.serving),
        profile=profile,
        golden=gold,
        config=dict(request.config),
        source=request.source,
    )
