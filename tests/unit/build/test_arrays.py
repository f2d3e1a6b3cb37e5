"""Reference columns with a shape per row are understood however they are stored."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trimtab import errors
from trimtab.build.golden import LEAST_ROWS, golden_rows, input_tensors
from trimtab.build.reference import read_reference, watched
from trimtab.build.request import ReferenceData
from trimtab.domain.signature import Column, Datatype

IMAGES = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)


def written(folder: Path, **columns: Any) -> ReferenceData:
    path = folder / "reference.parquet"
    pq.write_table(pa.table(columns), path)
    return ReferenceData(path)


def stored(folder: Path) -> dict[str, ReferenceData]:
    """The same images, stored in different ways."""
    np.savez(folder / "r.npz", image=IMAGES, y=[1, 2, 3, 4])
    lists: Any = pa.array(IMAGES.tolist(), pa.list_(pa.list_(pa.uint8())))
    tensors: Any = pa.FixedShapeTensorArray.from_numpy_ndarray(IMAGES)
    found = {"npz": ReferenceData(folder / "r.npz", target="y")}
    for name, column in (("lists", lists), ("tensors", tensors)):
        (folder / name).mkdir()
        found[name] = written(folder / name, image=column)
    return found


def test_lists_tensors_and_arrays_are_the_same_input(tmp_path: Path) -> None:
    for data in stored(tmp_path).values():
        reference = read_reference(data)
        (image,) = reference.columns
        assert (image.datatype, image.shape, image.nullable) == (Datatype.UINT8, (2, 3), False)
        assert (image.minimum, image.maximum, image.width) == (0, 23, 6)
        assert np.array_equal(reference.inputs["image"], IMAGES)
        assert reference.rows == 4


def test_a_missing_number_makes_a_tensor_of_floats_nullable(tmp_path: Path) -> None:
    reference = read_reference(written(tmp_path, v=[[1.0, None], [2.0, 3.0]]))
    assert reference.columns[0].nullable
    assert np.isnan(reference.inputs["v"][0, 1])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[1.0], [1.0, 2.0]], "not all of one shape"),
        ([[1.0], None], "not all of one shape"),
        ([[], []], "not all of one shape"),
        ([[1, None]], "lacks numbers"),
        ([["a"]], "tensors are of numbers"),
    ],
)
def test_rows_that_are_no_tensor_are_refused(tmp_path: Path, values: Any, said: str) -> None:
    with pytest.raises(errors.Usage, match=said):
        read_reference(written(tmp_path, v=values))


def test_a_file_that_is_no_npz_or_holds_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    path.write_bytes(b"PK\x03\x04nothing")
    np.savez(tmp_path / "o.npz", v=np.array([{}], dtype=object))
    np.savez(tmp_path / "s.npz", v=np.array(1.0))
    for file in (path, tmp_path / "o.npz", tmp_path / "s.npz"):
        with pytest.raises(errors.Usage, match="cannot be read as a table"):
            read_reference(ReferenceData(file))


def test_profiles_see_the_summary_of_a_tensor(tmp_path: Path) -> None:
    reference = read_reference(stored(tmp_path)["npz"])
    seen = watched(reference, np.array([0, 3]))
    assert seen["image.mean"].tolist() == [2.5, 20.5]
    assert list(seen) == [f"image.{name}" for name in ("mean", "std", "p1", "p2", "p3", "p4")]


def test_the_golden_set_of_large_rows_is_small_and_has_the_extremes() -> None:
    column = Column("v", Datatype.FP32, shape=(1 << 20,))
    values = np.zeros((40, 1 << 20), dtype=np.float32)
    values[7, 0], values[9, 0] = 1, -1
    chosen = golden_rows([column], {"v": values}, 40)
    assert len(chosen) == LEAST_ROWS
    assert {7, 9} <= set(chosen.tolist())
    (tensor,) = input_tensors([column], {"v": values}, chosen)
    assert (tensor.datatype, tensor.shape) == ("FP32", (LEAST_ROWS, 1 << 20))
