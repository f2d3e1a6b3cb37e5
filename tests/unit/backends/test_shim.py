"""The worker's copy is complete, named by its content, and started with little of its parent."""

from pathlib import Path

from trimtab.backends import shim


def test_the_copy_is_made_once_and_holds_the_whole_package(tmp_path: Path) -> None:
    folder = shim.install(tmp_path)
    copied = {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")}
    assert {"trimtab_worker/main.py", "trimtab_worker/loaders/skops.py"} <= copied
    assert shim.install(tmp_path) == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_child_knows_the_profile_and_few_things_of_its_parent() -> None:
    parent = {"PATH": "/bin", "SECRET": "x", "PYTHONPATH": "/p", "OMP_NUM_THREADS": "9"}
    child = shim.worker_environment(shim.EXECUTION_STRICT, parent)
    assert child["PATH"] == "/bin"
    assert child["OMP_NUM_THREADS"] == "1"
    assert "SECRET" not in child
    assert "PYTHONPATH" not in child


def test_a_child_sees_no_gpu_unless_it_is_given_one() -> None:
    child = shim.worker_environment(shim.EXECUTION_SERVING, {"CUDA_VISIBLE_DEVICES": "0,1"})
    assert child["CUDA_VISIBLE_DEVICES"] == ""


def test_a_child_reports_to_nobody_else() -> None:
    child = shim.worker_environment(shim.EXECUTION_SERVING, {"ORT_DISABLE_TELEMETRY": "0"})
    assert child["ORT_DISABLE_TELEMETRY"] == "1"


def test_every_perturbed_profile_differs_from_the_serving_one() -> None:
    assert all(profile != shim.EXECUTION_SERVING for profile in shim.PERTURBED.values())


def test_a_copy_that_a_power_loss_left_torn_is_made_again(tmp_path: Path) -> None:
    folder = shim.install(tmp_path)
    torn = folder / shim.PACKAGE / "main.py"
    whole = torn.read_bytes()
    torn.write_bytes(b"")
    assert shim.install(tmp_path) == folder
    assert torn.read_bytes() == whole
    torn.unlink()
    assert shim.install(tmp_path) == folder
    assert torn.read_bytes() == whole
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
