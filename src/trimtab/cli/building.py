"""The options of `trimtab build` as a build request."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from trimtab import errors
from trimtab.build.request import BuildRequest, ReferenceData
from trimtab.domain.release import Format

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
    requirements: Path | None = None
    trust: str | None = None


def request(asked: Asked, folder: Path) -> BuildRequest:
    """The request with absolute paths; modules are looked for in `folder`.

    Raises `Usage` TT-102 when the format cannot be told, TT-210 when a file is missing."""
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
        hint="add --format, one of skops, onnx, xgboost, lightgbm, python, joblib, pickle",
    )


def _reference(asked: Asked, folder: Path) -> ReferenceData | None:
    if asked.reference is None:
        return None
    return ReferenceData(
        path=_existing(folder / asked.reference),
        target=asked.target,
        positive=asked.positive,
        time=asked.time,
        key=asked.key,
        segments=tuple(part for part in asked.segments.split(",") if part),
    )


def _existing(path: Path) -> Path:
    if path.is_file():
        return path.absolute()
    raise errors.Usage(
        errors.MISSING_FILE,
        "build",
        path.name,
        "there is no such file",
        unchanged="nothing was built",
        hint=f"ls {path.parent.name or '.'}",
    )
