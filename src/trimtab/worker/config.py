"""`worker.json`: what a worker is told about its release (docs/wire.md)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .failures import WORKER_FAILED, refusing


@dataclass(frozen=True, slots=True)
class Column:
    """One input of the signature; `shape` is per row, `()` for a column of one value a row."""

    name: str
    datatype: str
    nullable: bool
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """One output of the signature; `shape` is per row."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """The contract with callers. `outputs` and `classes` are empty while a build learns them."""

    inputs: tuple[Column, ...]
    outputs: tuple[Output, ...]
    task: str
    classes: tuple[str, ...]
    threshold: float


@dataclass(frozen=True, slots=True)
class GoldenFile:
    """Where the golden set is, and the largest absolute difference that counts as the same."""

    path: Path
    tolerance: float


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One file of the release: relative path, `sha256:…` and size in bytes."""

    path: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """Everything a worker needs to know. `folder` is the checkout, which holds `worker.json`.

    `settings` is the manifest's `config`. `golden` is None and `tree` empty while a build runs.
    """

    folder: Path
    release: str
    name: str
    format: str
    model_path: str
    features: str | None
    frame: str
    signature: Signature
    settings: Mapping[str, str]
    golden: GoldenFile | None
    tree: tuple[TreeEntry, ...]
    engine: str | None = None
    """Path of the compiled engine that answers instead of the model; None when there is none."""

    @property
    def allow_nan(self) -> bool:
        """Whether outputs may hold numbers that are not finite."""
        return self.settings.get("allow_nan") == "true"


def read(path: Path) -> WorkerConfig:
    """Read `worker.json`. Raises `Refusal` when it is missing or incomplete."""
    with refusing(WORKER_FAILED, f"cannot read {path.name}"):
        return _config(path.resolve().parent, json.loads(path.read_text(encoding="utf-8")))


def _config(folder: Path, fields: Mapping[str, Any]) -> WorkerConfig:
    golden = fields.get("golden")
    return WorkerConfig(
        folder=folder,
        release=fields["release"],
        name=fields["name"],
        format=fields["format"],
        model_path=fields["model_path"],
        features=fields.get("features"),
        frame=fields["frame"],
        signature=_signature(fields["signature"]),
        settings=fields.get("config") or {},
        golden=golden and GoldenFile(folder / golden["path"], float(golden["tolerance"])),
        tree=tuple(
            TreeEntry(entry["path"], entry["digest"], entry["size"])
            for entry in fields.get("tree") or ()
        ),
        engine=fields.get("engine"),
    )


def _signature(fields: Mapping[str, Any]) -> Signature:
    return Signature(
        inputs=tuple(
            Column(
                each["name"],
                each["datatype"],
                bool(each.get("nullable", False)),
                tuple(each.get("shape") or ()),
            )
            for each in fields["inputs"]
        ),
        outputs=tuple(
            Output(each["name"], each["datatype"], tuple(each.get("shape") or ()))
            for each in fields.get("outputs") or ()
        ),
        task=fields.get("task", "other"),
        classes=tuple(fields.get("classes") or ()),
        threshold=float(fields.get("threshold", 0.5)),
    )
