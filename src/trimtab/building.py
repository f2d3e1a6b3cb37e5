"""`trimtab.build(...)` and the options of `trimtab build`: one way to say what a release is of."""

import importlib
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, cast

import pyarrow as pa
import pyarrow.parquet as pq

from trimtab import errors
from trimtab.app.projects import project_or_folder
from trimtab.app.releases import build_release
from trimtab.build.arrays import table_of
from trimtab.build.frames import table_of_frame
from trimtab.build.listing import listing
from trimtab.build.request import BuildRequest, ReferenceData
from trimtab.domain.names import meant, names_of
from trimtab.domain.records import label_text
from trimtab.domain.release import EngineChoice, Format
from trimtab.judge.own_loss import OwnLoss

if TYPE_CHECKING:
    from trimtab.views.shapes import BuildView

ENDINGS: dict[str, Format] = {
    ".skops": "skops",
    ".onnx": "onnx",
    ".ubj": "xgboost",
    ".lgb": "lightgbm",
    ".joblib": "joblib",
    ".pkl": "pickle",
    ".pickle": "pickle",
}
"""Endings that only one format uses. `.json` and `.txt` say nothing: those need `--format`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was typed. `model` is None when the pipeline is to make it."""

    name: str
    model: str | None = None
    format: str | None = None
    features: str | None = None
    reference: Path | None = None
    target: str | None = None
    positive: str | None = None
    time: str | None = None
    key: str | None = None
    segments: str = ""
    groups: str = ""
    loss: str | None = None
    loss_bound: float = 1.0
    requirements: Path | None = None
    trust: str | None = None
    engine: EngineChoice | None = None
    config: Mapping[str, str] = field(default_factory=dict)


class BuildOptions(TypedDict, total=False):
    """The optional arguments of `build`, named as the options of `trimtab build`.

    `reference` is a file, a pandas or polars frame, an Arrow table, a DuckDB relation, or arrays by
    name whose first axis is rows; `config` goes into the manifest (such as `skops_trusted`);
    `folder` is where modules are looked for and whose `.trimtab` holds the state (default: the
    current folder, or its project); `narrate` hears one line per stage.
    """

    format: str
    features: str
    reference: Any
    target: str
    positive: str | float
    time: str
    key: str
    segments: str | tuple[str, ...] | list[str]
    groups: str | tuple[str, ...] | list[str]
    loss: str
    loss_bound: float
    requirements: str | Path
    trust: str
    engine: EngineChoice
    config: Mapping[str, str]
    folder: str | Path
    narrate: Callable[[str], None]


def build(name: str, model: Any, **options: Unpack[BuildOptions]) -> "BuildView":
    """Make and register a release, as `trimtab build NAME --model …` does.

    `model` is a file, `module:Class`, or a fitted scikit-learn object, which is stored with skops
    (or with joblib when `format` says so). Raises the `TrimtabError`s of the command.
    """
    _check_names(options)
    folder = Path(options.get("folder", Path.cwd())).absolute()
    project = project_or_folder(folder, os.environ)
    with tempfile.TemporaryDirectory(prefix="trimtab-") as scratch:
        wanted = options.get("format")
        requirements = options.get("requirements")
        asked = Asked(
            name=name,
            model=_model_text(model, wanted, Path(scratch)),
            format=wanted,
            features=options.get("features"),
            reference=_reference_file(options.get("reference"), Path(scratch)),
            target=options.get("target"),
            positive=_told(options.get("positive")),
            time=options.get("time"),
            key=options.get("key"),
            segments=",".join(names_of(options.get("segments"))),
            groups=",".join(names_of(options.get("groups"))),
            loss=options.get("loss"),
            loss_bound=options.get("loss_bound", 1.0),
            requirements=Path(requirements) if requirements else None,
            trust=options.get("trust"),
            engine=options.get("engine"),
            config=options.get("config", {}),
        )
        narrate = options.get("narrate", _nothing)
        return build_release(project, request(asked, folder), narrate)


def _check_names(options: Mapping[str, Any]) -> None:
    known = BuildOptions.__annotations__
    for option in options:
        if option not in known:
            raise errors.Usage(
                errors.BAD_VALUE,
                "build",
                option,
                "there is no such option",
                unchanged="nothing was built",
                hint=meant(option, known, "options"),
            )


def _told(positive: str | float | None) -> str | None:
    """A label as the reference's are known: by its text."""
    return None if positive is None else label_text(positive)


def _model_text(model: Any, wanted: str | None, scratch: Path) -> str:
    """What `--model` would be given; an object is stored first."""
    if isinstance(model, str | Path):
        return str(model)
    kind = wanted or "skops"
    store = {"skops": "skops.io", "joblib": "joblib"}.get(kind)
    if store is None:
        raise errors.Usage(
            errors.BAD_VALUE,
            "build",
            type(model).__name__,
            f"an object cannot be stored as {kind}",
            unchanged="nothing was built",
            hint="give the file that your library wrote, or format='skops' or 'joblib'",
        )
    path = scratch / f"model.{kind}"
    _storer(store, kind).dump(model, path)
    return str(path)


def _storer(store: str, package: str) -> Any:
    """The library that stores an object, which trimtab itself does not need."""
    try:
        return importlib.import_module(store)
    except ModuleNotFoundError as cause:
        raise errors.Usage(
            errors.BAD_VALUE,
            "build",
            package,
            "it stores a fitted object, and it is not installed here",
            unchanged="nothing was built",
            hint=f"pip install {package}",
        ) from cause


def _reference_file(reference: Any, scratch: Path) -> Path | None:
    """The reference as a file; a table is written as Parquet."""
    if reference is None or isinstance(reference, str | Path):
        return None if reference is None else Path(reference)
    path = scratch / "reference.parquet"
    pq.write_table(_table(reference), path)
    return path


def _table(reference: Any) -> pa.Table:
    if isinstance(reference, Mapping):
        return table_of(reference)
    try:
        return table_of_frame(reference)
    except TypeError as cause:
        raise _bad_reference(f"{cause}, a file, or arrays by name") from None
    except (pa.ArrowException, OverflowError, ValueError) as cause:
        raise _bad_reference(f"it cannot be read as a table: {cause}") from cause


def _bad_reference(problem: str) -> errors.Usage:
    return errors.Usage(
        errors.BAD_REFERENCE,
        "build",
        "reference",
        problem,
        unchanged="nothing was built",
        hint="python -m pydoc trimtab.building.BuildOptions",
    )


def _nothing(line: str) -> None:
    """Tell nobody."""


def request(asked: Asked, folder: Path) -> BuildRequest:
    """The request with absolute paths; modules are looked for in `folder`.

    Raises `Usage` TT-102 when the format cannot be told, or columns are named of a reference that
    is not given, TT-210 when a file is missing."""
    assert asked.model is not None
    path = folder / asked.model
    entry = asked.model if ":" in asked.model and not path.exists() else None
    return BuildRequest(
        name=asked.name,
        format=_format(asked, path, entry),
        model=None if entry else _existing(path),
        entry=entry,
        code=folder,
        features=asked.features,
        reference=_reference(asked, folder),
        requirements=_existing(folder / asked.requirements) if asked.requirements else None,
        trust=cast(Literal["none", "code"], asked.trust or "none"),
        engine=asked.engine or "auto",
        config=dict(asked.config),
    )


def _format(asked: Asked, path: Path, entry: str | None) -> Format:
    if asked.format is not None:
        return cast(Format, asked.format)
    if entry is not None:
        return "python"
    if path.suffix in ENDINGS:
        return ENDINGS[path.suffix]
    raise errors.Usage(
        errors.BAD_VALUE,
        "build",
        asked.name,
        f"the ending of {path.name} does not say which format it is",
        unchanged="nothing was built",
        hint="add --format, one of skops, onnx, xgboost, lightgbm, joblib, pickle; a Python "
        "class is written module:Class",
    )


def _reference(asked: Asked, folder: Path) -> ReferenceData | None:
    if asked.reference is None:
        _refuse_alone(asked)
        return None
    return ReferenceData(
        path=_existing(folder / asked.reference),
        target=asked.target,
        positive=asked.positive,
        time=asked.time,
        key=asked.key,
        segments=_listed(asked.segments),
        groups=_listed(asked.groups),
        loss=None if asked.loss is None else OwnLoss(asked.loss, asked.loss_bound),
    )


def _refuse_alone(asked: Asked) -> None:
    """Options that name columns of the reference say nothing without it."""
    told = ("target", "positive", "time", "key", "segments", "groups", "loss")
    named = [f"--{name}" for name in told if getattr(asked, name)]
    if named:
        raise errors.Usage(
            errors.BAD_VALUE,
            "build",
            asked.name,
            f"{', '.join(named)} without --reference, whose columns are meant",
            unchanged="nothing was built",
            hint="add --reference FILE",
        )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def _existing(path: Path) -> Path:
    if path.is_file():
        return path.absolute()
    raise errors.Usage(
        errors.MISSING_FILE,
        "build",
        path.name,
        "there is no such file",
        unchanged="nothing was built",
        hint=listing(path),
    )
