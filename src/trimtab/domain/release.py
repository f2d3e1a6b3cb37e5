"""A release: one digest over model, feature code, environment, data, profile and golden set."""

from typing import Literal

import msgspec

from trimtab.domain.names import Digest
from trimtab.domain.signature import Signature

Format = Literal["skops", "onnx", "xgboost", "lightgbm", "python", "joblib", "pickle"]
CODE_FORMATS: frozenset[str] = frozenset({"python", "joblib", "pickle"})
"""Formats that execute code of their author when loaded: they need `trust = "code"`."""

Frame = Literal["pandas", "columns", "matrix"]
"""What the feature code (or the model without feature code) is given: a pandas.DataFrame, a dict
of numpy arrays, or one float64 matrix in signature order. Declared, never guessed at run time."""


Engine = Literal["native", "onnx"]
"""What computes the answers: the model's own library, or its graph in ONNX Runtime."""

EngineChoice = Literal["auto", "native"]
"""Whether a build looks for a faster engine (`auto`) or leaves the model as it is."""


class LockedPackage(msgspec.Struct, frozen=True, order=True):
    """One distribution of an environment: exact version and the sha256 of every allowed file."""

    name: str
    version: str
    sha256: tuple[str, ...]


class EnvironmentLock(msgspec.Struct, frozen=True):
    """An environment, independent of any package index. `python` is major.minor.patch."""

    python: str
    platform: str
    packages: tuple[LockedPackage, ...]


class TreeEntry(msgspec.Struct, frozen=True, order=True):
    """One file of a tree object; `path` is relative, with forward slashes, no `..`."""

    path: str
    digest: Digest
    size: int


class Tree(msgspec.Struct, frozen=True):
    """A directory as data: entries sorted by path."""

    entries: tuple[TreeEntry, ...]


class DataManifest(msgspec.Struct, frozen=True):
    """Which data the release was made from. `digest` is of the file's bytes."""

    name: str
    digest: Digest | None
    rows: int
    columns: tuple[str, ...]
    since: str | None = None
    until: str | None = None
    pointer: str | None = None


class Golden(msgspec.Struct, frozen=True):
    """Stored inputs and outputs, replayed at every worker start.

    `blob` holds both (see docs/wire.md); `tolerance` is the largest absolute difference per
    output that counts as the same, learned at build by perturbing threads, kernels and batch
    shape; 0.0 means bit-identical is demanded. `bit_stable` tells whether every perturbation
    gave the same bits.
    """

    blob: Digest
    rows: int
    tolerance: float
    bit_stable: bool


class Speed(msgspec.Struct, frozen=True):
    """Median seconds of a request of `rows` rows, by the model itself and by its engine."""

    rows: int
    native_seconds: float
    engine_seconds: float

    @property
    def times(self) -> float:
        """How many times faster the engine is."""
        return self.native_seconds / self.engine_seconds


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """The engine that answers in the model's place, and what proved at the build that it may.

    `path` is in the tree. `tolerance` is the largest absolute difference from the model's own
    outputs that counts as the same: the learned one of the golden set, or the rounding of the
    model's precision where that is larger. `difference` is the largest that was seen on `rows`
    rows of reference and golden set.
    """

    path: str
    tolerance: float
    difference: float
    rows: int
    speeds: tuple[Speed, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a release is, as canonical JSON (RFC 8785); its sha256 is the release's digest."""

    schema: int = 1
    model: str
    format: Format
    model_path: str
    features: str | None
    frame: Frame
    tree: Digest
    environment: EnvironmentLock
    data: DataManifest | None
    signature: Signature
    execution: dict[str, str]
    profile: Digest | None
    golden: Golden
    engine: Engine = "native"
    compiled: Compiled | None = None
    """The engine that serves; None when the model itself does (`engine` is then `native`)."""
    config: dict[str, str] = {}
    source: str | None = None
    """How it was made: `build` or `pipeline`; an older one may name the run that made it."""


class Release(msgspec.Struct, frozen=True):
    """A registered release. `created_at` is epoch seconds and not part of the digest."""

    digest: Digest
    model: str
    number: int
    created_at: float
    manifest: Manifest

    @property
    def name(self) -> str:
        """`model@number`."""
        return f"{self.model}@{self.number}"
