"""Which requirements a release's environment is locked from."""

from collections.abc import Sequence
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


def requirement_lines(file: Path | None, format_: Format, features: bool) -> list[str]:
    """The lines of the requirements file; without one, what the format needs.

    Versions are then those of the environment that runs the build, because the model was most
    likely fitted there, and a model may not load in another version of its library.
    """
    if file is None:
        names = [*_NEEDED[format_], *(["pandas"] if features or _installed("pandas") else [])]
        return [_pinned(name) for name in names]
    if not file.is_file():
        raise errors.Usage(
            errors.MISSING_FILE,
            "build",
            str(file),
            "there is no such requirements file",
            unchanged="no release was made",
            hint=listing(file),
        )
    lines = (line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


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
