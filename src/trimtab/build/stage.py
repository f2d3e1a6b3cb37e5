"""A release in the making, and asking its model in its own environment."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import rfc8785
from numpy.typing import NDArray

from trimtab.build import golden
from trimtab.build.reference import Reference
from trimtab.build.request import BuildRequest, Tools
from trimtab.build.requirements import frame_for
from trimtab.domain.names import Digest
from trimtab.domain.release import EnvironmentLock, Frame
from trimtab.domain.signature import Signature
from trimtab.worker import frames, tensors

CONFIG = "worker.json"
SCORED_AT_ONCE = 4096
"""Rows of one request while a reference is scored."""
MOST_BYTES = 64 * 1024 * 1024
"""About how much of a reference is handed to a worker in one piece."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A release in the making: its files below `folder`, its environment and its contract.

    `by_name` tells whether the model knows its columns by name; one fitted on an array does not,
    and is given arrays. `engine` is the path of the compiled engine that is asked, None for the
    model itself.
    """

    folder: Path
    python: Path
    request: BuildRequest
    model_path: str
    lock: EnvironmentLock
    signature: Signature
    by_name: bool = True
    engine: str | None = None

    @property
    def frame(self) -> Frame:
        """What the feature code or the model is given."""
        has_features = self.request.features is not None
        named = self.by_name or has_features
        return frame_for(self.lock, self.signature.inputs, has_features, named)

    @property
    def config(self) -> Path:
        """What the worker is told; not a file of the release."""
        return self.folder / CONFIG


def configure(stage: Stage) -> None:
    """Write what the worker is told (docs/wire.md) among the files, for as long as it is built."""
    request = stage.request
    told = {
        "release": f"sha256:{'0' * 64}",
        "name": f"{request.name}@build",
        "format": request.format,
        "model_path": stage.model_path,
        "features": request.features,
        "frame": stage.frame,
        "signature": msgspec.to_builtins(stage.signature),
        "config": dict(request.config),
        "engine": stage.engine,
        "golden": None,
        "tree": [],
    }
    stage.config.write_bytes(msgspec.json.encode(told))


def ask(
    stage: Stage,
    tools: Tools,
    *arguments: str,
    execution: Mapping[str, str] | None = None,
) -> str:
    """What a mode of the worker prints. Raises `Permanent` as the runner does."""
    mode, *rest = arguments
    asked = [mode, "--config", str(stage.config), *rest]
    return tools.runner.run(stage.python, asked, execution or tools.serving)


def probe(
    stage: Stage,
    tools: Tools,
    inputs: Sequence[frames.Tensor],
    batches: Sequence[int],
    execution: Mapping[str, str] | None = None,
) -> list[dict[str, NDArray[Any]]]:
    """The outputs for `inputs`, once per batch size, from one start of the worker."""
    with tempfile.TemporaryDirectory(dir=stage.folder.parent, prefix="probe-") as folder:
        source = written_inputs(inputs, Path(folder) / "inputs.bin")
        results = [Path(folder) / f"outputs-{batch}.bin" for batch in batches]
        arguments = ["probe", "--inputs", str(source)]
        for batch, result in zip(batches, results, strict=True):
            arguments += ["--batch", str(batch), "--outputs", str(result)]
        ask(stage, tools, *arguments, execution=execution)
        return [read_outputs(result.read_bytes()) for result in results]


def written_inputs(inputs: Sequence[frames.Tensor], path: Path) -> Path:
    """Write rows to be answered as a GOLDEN frame without outputs; returns `path`."""
    lists = {"inputs": inputs, "outputs": []}
    header = {"rows": inputs[0].shape[0]}
    path.write_bytes(b"".join(frames.encode_tensors(frames.Kind.GOLDEN, header, lists)))
    return path


def read_outputs(data: bytes) -> dict[str, NDArray[Any]]:
    """The outputs of a GOLDEN frame as arrays."""
    decoder = frames.Decoder()
    (frame,) = decoder.feed(data)
    _, outputs = frames.tensors_of(frame, "inputs", "outputs")
    return {tensor.name: tensors.array_of(tensor) for tensor in outputs}


def scored(
    stage: Stage, reference: Reference, rows: NDArray[np.int64], tools: Tools
) -> dict[str, NDArray[Any]]:
    """The outputs for some rows of the reference, however many, in pieces that fit into frames."""
    columns, parts = stage.signature.inputs, []
    fitting = max(1, MOST_BYTES // _row_bytes(reference))
    size = fitting if stage.signature.tensors else max(SCORED_AT_ONCE, fitting)
    for start in range(0, len(rows), size):
        inputs = golden.input_tensors(columns, reference.inputs, rows[start : start + size])
        parts += probe(stage, tools, inputs, [SCORED_AT_ONCE])
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _row_bytes(reference: Reference) -> int:
    """About how many bytes a row is, by the texts that come first."""
    total = 1
    for values in reference.inputs.values():
        texts = [len(str(value).encode()) for value in values[:1000] if values.dtype == object]
        total += sum(texts) // len(texts) + 4 if texts else values.nbytes // len(values)
    return total


def stored_files(stage: Stage, tools: Tools) -> Digest:
    """Store the files of the release, without what the worker is told; returns the tree."""
    stage.config.unlink()
    tree = tools.blobs.put_folder(stage.folder)
    configure(stage)
    return tree


def canonical(value: Any) -> bytes:
    """Canonical JSON (RFC 8785) of a struct."""
    return rfc8785.dumps(msgspec.to_builtins(value))
