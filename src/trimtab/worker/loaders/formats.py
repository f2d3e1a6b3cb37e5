"""Whether a file can be what it is declared to be, judged by its first bytes."""

import os
import re
from pathlib import Path

from ..config import WorkerConfig
from ..failures import EXIT_LOAD, MODEL_FAILED, WRONG_FORMAT, Refusal

_HEAD = 512
_SIGNATURES = (
    ("a pickle", re.compile(rb"\x80[\x02-\x05]")),
    ("a zip archive, as skops writes", re.compile(rb"PK\x03\x04")),
    ("an XGBoost model", re.compile(rb"\{(?:L.{8}|\s*\")learner", re.DOTALL)),
    ("a LightGBM text model", re.compile(rb"tree\r?\n")),
    ("JSON", re.compile(rb"\s*[\[{]\s*[\"\[{]")),
    ("an HDF5 file", re.compile(rb"\x89HDF")),
    (
        "compressed data",
        re.compile(rb"\x1f\x8b|BZh|\xfd7zXZ|x[\x01\x5e\x9c\xda]|\x04\x22\x4d\x18|]\0"),
    ),
    ("an ONNX model", re.compile(rb"\x08[\x01-\x20][\x12\x1a\x22\x3a\x42]")),
    ("Python source", re.compile(rb"(?:#|\"\"\"|import |from )")),
)
_ACCEPTED = {
    "skops": {"a zip archive, as skops writes"},
    "onnx": {"an ONNX model"},
    "xgboost": {"an XGBoost model"},
    "lightgbm": {"a LightGBM text model"},
    "joblib": {"a pickle", "compressed data"},
    "pickle": {"a pickle"},
}


def model_file(config: WorkerConfig) -> Path:
    """The model's file, when it begins as its declared format does.

    Raises `Refusal` TT-203 naming what was declared and what the file looks like. The check never
    chooses a loader; it only makes the error clear.
    """
    path = config.folder / config.model_path
    if not path.is_file():
        raise Refusal(EXIT_LOAD, MODEL_FAILED, f"the model file {config.model_path!r} is missing")
    with path.open("rb") as file:
        found = looks_like(file.read(_HEAD))
    if found in _ACCEPTED[config.format]:
        return path
    raise wrong_format(config, found or "none of the known formats")


def wrong_format(config: WorkerConfig, found: str) -> Refusal:
    """The refusal of a file that is not of the declared format."""
    return Refusal(
        EXIT_LOAD,
        WRONG_FORMAT,
        f"{config.model_path!r} is declared as {config.format} but looks like {found}",
    )


def looks_like(head: bytes) -> str | None:
    """What a file that begins with `head` looks like, in words, or None."""
    if not head:
        return "an empty file"
    return next((name for name, pattern in _SIGNATURES if pattern.match(head)), None)


def threads() -> int:
    """How many threads the execution profile gives a model library."""
    return max(1, int(os.environ.get("OMP_NUM_THREADS", "1")))
