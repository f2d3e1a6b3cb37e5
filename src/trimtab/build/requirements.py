"""Which requirements a release's environment is locked from."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from trimtab import errors
from trimtab.build.listing import listing
from trimtab.domain.release import EnvironmentLock, Format, Frame
from trimtab.domain.signature import Column

_NEEDED: dict[Format, tuple[str, ...]] = {
    "skops": ("numpy", "scikit-learn", "skops"),
    "joblib": ("joblib", "numpy", "scikit-learn"),
    "pickle": ("numpy", "scikit-learn"),
    "onnx": ("numpy", "onnxruntime"),
    "xgboost": ("numpy", "xgboost"),
    "lightgbm": ("lightgbm", "numpy"),
    "python": ("numpy",),
}


_NAMED = re.compile(
    r"(?P<kind>-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(?P<path>(?!https?:)\S.*)"
)
"""A line that names another file; one behind a URL is left to uv."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """The lines of a requirements file, those of the files that it includes among them, and all
    files that they come from or are bounded by."""

    lines: list[str]
    files: tuple[Path, ...]


def requirement_lines(file: Path | None, format_: Format, features: bool) -> list[str]:
    """The lines of the requirements file; without one, what the format needs.

    Versions are then those of the environment that runs the build, because the model was most
    likely fitted there, and a model may not load in another version of its library.
    """
    if file is None:
        names = [*_NEEDED[format_], *(["pandas"] if features or _installed("pandas") else [])]
        return [_pinned(name) for name in names]
    return read_requirements(file).lines


def read_requirements(file: Path) -> Requirements:
    """A requirements file with those that it names, relative ones beside it as pip reads them.

    Raises `Usage` TT-210 where one of them is missing."""
    lines: list[str] = []
    files: list[Path] = []
    _read(file, lines, files)
    return Requirements(lines, tuple(files))


def _read(file: Path, lines: list[str], files: list[Path]) -> None:
    if file in files:
        return
    files.append(_existing(file))
    for line in file.read_text(encoding="utf-8").splitlines():
        told = line.split("#")[0].strip()
        named = _NAMED.fullmatch(told)
        if named is None:
            lines += [told] if told else []
        elif named["kind"] in {"-r", "--requirement"}:
            _read(_beside(file, named["path"]), lines, files)
        else:
            files.append(_existing(_beside(file, named["path"])))
            lines.append(f"-c {files[-1].absolute()}")


def _beside(file: Path, named: str) -> Path:
    """In one spelling, so that files that include each other are read once."""
    return Path(os.path.normpath(file.parent / named))


def _existing(file: Path) -> Path:
    if file.is_file():
        return file
    raise errors.Usage(
        errors.MISSING_FILE,
        "build",
        str(file),
        "there is no such requirements file",
        unchanged="no release was made",
        hint=listing(file),
    )


def frame_for(
    lock: EnvironmentLock, columns: Sequence[Column], features: bool, named: bool
) -> Frame:
    """What the feature code or the model is given: a data frame where pandas is locked, unless the
    columns are numbers that the model does not know by name. Tensors fit into no data frame: a lone
    one is given as it is, and several inputs as a dict of arrays."""
    if any(column.shape for column in columns):
        return "matrix" if len(columns) == 1 and not features else "columns"
    numeric = all(column.datatype.numeric for column in columns)
    if any(package.name == "pandas" for package in lock.packages) and (named or not numeric):
        return "pandas"
    return "matrix" if numeric and not features else "columns"


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _pinned(name: str) -> str:
    version = _installed(name)
    return f"{name}=={version}" if version else name
