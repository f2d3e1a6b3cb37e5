"""A reference of any size is scored in pieces that fit into frames, and comes back in order."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trimtab.backends.blobs import ObjectBlobs
from trimtab.build import stage as staged
from trimtab.build.reference import Reference
from trimtab.build.request import BuildRequest, Tools
from trimtab.build.stage import Stage, scored
from trimtab.domain.release import DataManifest, EnvironmentLock
from trimtab.domain.signature import Column, Datatype, Signature
from trimtab.worker import golden, tensors

COLUMNS = (Column("x", Datatype.FP64), Column("name", Datatype.BYTES))


class Doubler:
    """Plays the worker's `probe`: twice x, and remembers how many rows came at once."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def run(self, python: Path, arguments: Sequence[str], execution: Mapping[str, str]) -> str:
        assert arguments[0] == "probe"
        given = dict(zip(arguments[1::2], arguments[2::2], strict=True))
        asked = golden.read(Path(given["--inputs"]))
        self.rows.append(asked.rows)
        doubled = tensors.tensor_of("y", tensors.array_of(asked.inputs[0]) * 2)
        golden.write(
            Path(given["--outputs"]), golden.GoldenSet(asked.rows, asked.inputs, [doubled])
        )
        return ""


def reference(rows: int) -> Reference:
    inputs: dict[str, Any] = {
        "x": np.arange(rows, dtype=np.float64),
        "name": np.array(["some text"] * rows, dtype=object),
    }
    manifest = DataManifest("r.csv", None, rows, ("x", "name"))
    return Reference(COLUMNS, inputs, None, None, (), manifest)


@pytest.mark.parametrize(("rows", "pieces"), [(7, [3, 3, 1]), (3, [3])])
def test_pieces_come_back_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, pieces: list[int]
) -> None:
    monkeypatch.setattr(staged, "MOST_BYTES", 1)
    monkeypatch.setattr(staged, "SCORED_AT_ONCE", 3)
    runner = Doubler()
    nothing: Any = None
    tools = Tools(
        *(ObjectBlobs.in_memory(), nothing, runner, tmp_path, tmp_path, {}, ()),
        narrate=print,
    )
    files = tmp_path / "files"
    files.mkdir()
    request = BuildRequest("m", "skops", None, None, tmp_path)
    lock = EnvironmentLock("3.11.7", "linux", ())
    stage = Stage(files, Path("python"), request, "m", lock, Signature(COLUMNS, ()))
    outputs = scored(stage, reference(rows), np.arange(rows), tools)
    assert outputs["y"].tolist() == [2.0 * row for row in range(rows)]
    assert runner.rows == pieces
