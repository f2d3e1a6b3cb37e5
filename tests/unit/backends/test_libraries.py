"""Which libraries a zygote imports follows from what a release declares, never from its code."""

import msgspec
import pytest
from tests.support.control import manifest

from trimtab.backends.libraries import libraries
from trimtab.domain.release import Compiled, EnvironmentLock, LockedPackage

SHIM = "trimtab_worker.loaders"


def names(format_: str, frame: str, *locked: str) -> tuple[str, ...]:
    """The libraries of a release of this format and frame with these packages."""
    packages = tuple(LockedPackage(name, "1", ()) for name in sorted(locked))
    lock = EnvironmentLock("3.11.7", "linux", packages)
    changed = {"format": format_, "frame": frame, "environment": lock}
    return libraries(msgspec.structs.replace(manifest(1), **changed))


@pytest.mark.parametrize(
    ("format_", "frame", "found"),
    [
        ("skops", "pandas", ("numpy.random", "pandas", "skops.io")),
        ("onnx", "matrix", ("numpy.random", "onnxruntime")),
        ("python", "columns", ("numpy.random",)),
    ],
)
def test_format_and_frame_name_the_libraries(
    format_: str, frame: str, found: tuple[str, ...]
) -> None:
    locked = ("numpy", "pandas", "scikit-learn", "skops", "onnxruntime")
    assert names(format_, frame, *locked) == (f"{SHIM}.{format_}", *found)


def test_what_is_not_in_the_lock_is_not_imported() -> None:
    assert names("skops", "pandas") == (f"{SHIM}.skops",)
    assert "sklearn.pipeline" not in names("pickle", "columns", "numpy")
    assert "sklearn.pipeline" in names("pickle", "columns", "numpy", "scikit-learn")


@pytest.mark.parametrize(
    ("features", "found"),
    [
        (None, ("numpy.random", "onnxruntime")),
        ("features:make", ("numpy.random", "pandas", "onnxruntime")),
    ],
)
def test_an_engine_needs_neither_the_models_library_nor_frames_that_no_feature_code_takes(
    features: str | None, found: tuple[str, ...]
) -> None:
    locked = ("numpy", "onnxruntime", "pandas", "skops")
    packages = tuple(LockedPackage(name, "1", ()) for name in locked)
    changed = msgspec.structs.replace(
        manifest(1),
        format="skops",
        frame="pandas",
        features=features,
        environment=EnvironmentLock("3.11.7", "linux", packages),
        engine="onnx",
        compiled=Compiled(path="e", tolerance=1e-9, difference=0.0, rows=1, speeds=()),
    )
    assert libraries(changed) == (f"{SHIM}.compiled", *found)


def test_a_compiled_engine_does_without_the_library_of_its_model() -> None:
    packages = tuple(LockedPackage(n, "1", ()) for n in ("numpy", "onnxruntime", "pandas", "skops"))
    compiled = Compiled(path="e.onnx", tolerance=0.0, difference=0.0, rows=1, speeds=())
    alone = msgspec.structs.replace(
        manifest(1),
        environment=EnvironmentLock("3.11.7", "linux", packages),
        engine="onnx",
        compiled=compiled,
    )
    assert libraries(alone) == (f"{SHIM}.compiled", "numpy.random", "onnxruntime")
    featured = msgspec.structs.replace(alone, features="features:features")
    assert libraries(featured)[1:] == ("numpy.random", "pandas", "onnxruntime")
