"""Looking for an engine never harms a build: it ends with one that is proven, or with a reason."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.control import manifest

from trimtab import errors
from trimtab.backends.blobs import ObjectBlobs
from trimtab.build import engine
from trimtab.build.locks import extended, resolved_once
from trimtab.build.records import keep
from trimtab.build.request import BuildRequest, Tools
from trimtab.build.stage import Stage, canonical
from trimtab.domain.release import Compiled, EnvironmentLock, Golden, LockedPackage, Manifest
from trimtab.domain.signature import Signature

LOCK = EnvironmentLock("3.11.7", "linux", (LockedPackage("numpy", "2.4.0", ("a",)),))


class Environments:
    """Answers with a lock, or refuses; counts how often it was asked."""

    def __init__(self, refuses: bool = False) -> None:
        self.asked: list[list[str]] = []
        self.python = LOCK.python
        self._refuses = refuses

    def fits(self, lock: EnvironmentLock) -> bool:
        return lock.python == self.python

    def lock(self, requirements: Any) -> EnvironmentLock:
        self.asked.append(list(requirements))
        if self._refuses:
            raise errors.Usage(errors.LOCK_FAILED, "lock", "onnx", "no such wheel")
        return msgspec.structs.replace(LOCK, python=self.python)


def tools(folder: Path, environments: Environments, told: list[str]) -> Tools:
    port: Any = environments
    runner: Any = None
    return Tools(
        *(ObjectBlobs.in_memory(), port, runner, folder, folder / "cache", {}, ()),
        narrate=told.append,
    )


def native(**changes: Any) -> Manifest:
    gold = Golden(manifest(1).golden.blob, 10, 0.0, True)
    told = {"golden": gold, "environment": LOCK, "source": "build"}
    changed = {"format": "skops", **told, **changes}
    return msgspec.structs.replace(manifest(1), **changed)


def trial(folder: Path, choice: Any = "auto") -> engine.Trial:
    request = BuildRequest("m", "skops", folder / "m.skops", None, folder, engine=choice)
    stage = Stage(folder, Path("python"), request, "m.skops", LOCK, Signature((), ()))
    return engine.Trial(stage, None, None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "onnx"}, "ONNX already"),
        ({"format": "python"}, "is code"),
        ({"golden": Golden(manifest(1).golden.blob, 0, 0.0, True)}, "without reference data"),
    ],
)
def test_what_cannot_be_converted_is_told_before_anything_is_installed(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    told, environments = list[str](), Environments()
    found = native(**changes)
    assert engine.chosen(found, trial(tmp_path), tools(tmp_path, environments, told)) is found
    assert words in told[0]
    assert environments.asked == []


def test_converters_that_do_not_go_with_the_environment_are_a_reason(tmp_path: Path) -> None:
    told, environments = list[str](), Environments(refuses=True)
    found = native()
    assert engine.chosen(found, trial(tmp_path), tools(tmp_path, environments, told)) is found
    assert told[0].startswith("engine: native;")
    assert "no such wheel" in told[0]
    assert environments.asked[0][0] == "numpy==2.4.0"
    assert any(line.startswith("skl2onnx") for line in environments.asked[0])


def test_an_engine_that_earlier_converters_found_is_looked_for_again(tmp_path: Path) -> None:
    told, environments = list[str](), Environments(refuses=True)
    found, kit = native(), tools(tmp_path, environments, told)
    digest = hashlib.sha256(canonical(found)).hexdigest()
    entry = kit.cache / "engines" / f"{digest}.json"
    entry.parent.mkdir(parents=True)
    facts: dict[str, Any] = {"path": "engine/model.onnx", "rows": 10, "speeds": ()}
    compiled = Compiled(tolerance=1e-9, difference=0.0, **facts)
    tree = kit.blobs.put_folder(entry.parent)
    kept = {"tree": tree, "environment": LOCK, "compiled": compiled}
    entry.write_bytes(msgspec.json.encode(kept))
    assert engine.chosen(found, trial(tmp_path), kit) is found
    assert environments.asked


def test_an_engine_whose_graph_the_store_has_lost_is_looked_for_again(tmp_path: Path) -> None:
    told, environments = list[str](), Environments(refuses=True)
    found = native()
    kit = replace(tools(tmp_path, environments, told), blobs=ObjectBlobs.local(tmp_path / "blobs"))
    graph = tmp_path / "files" / engine.GRAPH
    graph.parent.mkdir(parents=True)
    graph.write_bytes(b"graph")
    facts: dict[str, Any] = {"path": engine.GRAPH, "rows": 10, "speeds": ()}
    compiled = Compiled(tolerance=1e-9, difference=0.0, **facts)
    tree = kit.blobs.put_folder(tmp_path / "files")
    digest = hashlib.sha256(canonical(found)).hexdigest()
    entry = kit.cache / "engines" / f"{digest}-{engine._CONVERTED}.json"
    keep(entry, {"tree": tree, "environment": LOCK, "compiled": compiled})
    assert engine.chosen(found, trial(tmp_path), kit).compiled == compiled
    again = engine.chosen(native(source="m-run-7"), trial(tmp_path), kit)
    assert (again.compiled, again.source) == (compiled, "m-run-7"), "whichever run made the model"
    (blob,) = (each.digest.removeprefix("sha256:") for each in kit.blobs.tree(tree).entries)
    (tmp_path / "blobs" / "sha256" / blob[:2] / blob).unlink()
    assert engine.chosen(found, trial(tmp_path), kit) is found
    assert environments.asked


def test_nothing_is_tried_or_told_where_the_model_itself_is_asked_for(tmp_path: Path) -> None:
    told, environments = list[str](), Environments()
    found = native()
    kit = tools(tmp_path, environments, told)
    assert engine.chosen(found, trial(tmp_path, "native"), kit) is found
    assert (told, environments.asked) == ([], [])


def test_a_lock_is_extended_once_and_for_all(tmp_path: Path) -> None:
    """Whatever the index has tomorrow, the same question has the same answer."""
    environments = Environments()
    kit = tools(tmp_path, environments, [])
    assert extended(LOCK, ["onnxruntime"], kit) == extended(LOCK, ["onnxruntime"], kit)
    assert environments.asked == [["numpy==2.4.0", "onnxruntime"]]
    extended(replace_python(LOCK), ["onnxruntime"], kit)
    assert len(environments.asked) == 2


def test_a_lock_that_a_power_loss_tore_is_resolved_again(tmp_path: Path) -> None:
    environments = Environments()
    kit = tools(tmp_path, environments, [])
    before = extended(LOCK, ["onnxruntime"], kit)
    for kept in (kit.cache / "locks").iterdir():
        kept.write_bytes(b"")
    assert extended(LOCK, ["onnxruntime"], kit) == before
    assert extended(LOCK, ["onnxruntime"], kit) == before
    assert len(environments.asked) == 2


def test_a_kept_lock_is_resolved_again_for_another_python(tmp_path: Path) -> None:
    """Its interpreter may be gone, and with it every retraining."""
    environments = Environments()
    kit = tools(tmp_path, environments, [])
    resolved_once("r", ["numpy"], kit)
    environments.python = "3.12.1"
    assert resolved_once("r", ["numpy"], kit).python == "3.12.1"
    assert resolved_once("r", ["numpy"], kit).python == "3.12.1"
    assert environments.asked == [["numpy"]] * 2


def replace_python(lock: EnvironmentLock) -> EnvironmentLock:
    return msgspec.structs.replace(lock, python="3.12.1")


def test_a_stage_gives_arrays_to_a_model_that_was_fitted_on_arrays(tmp_path: Path) -> None:
    stage = trial(tmp_path).stage
    pandas = msgspec.structs.replace(LOCK, packages=(LockedPackage("pandas", "3.1", ("b",)),))
    assert replace(stage, lock=pandas).frame == "pandas"
    assert replace(stage, lock=pandas, by_name=False).frame == "matrix"
