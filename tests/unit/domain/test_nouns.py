"""Names, references, signatures and rows."""

import numpy as np
import pytest

from trimtab import errors
from trimtab.domain import layout
from trimtab.domain.names import (
    Digest,
    ReleaseRef,
    checked_digest,
    checked_name,
    meant,
    names_of,
    repeated,
    short,
)
from trimtab.domain.processes import WorkerSlot
from trimtab.domain.records import Labels, Rows, label_text
from trimtab.domain.release import EnvironmentLock, Golden, Manifest, Release, Speed
from trimtab.domain.signature import Column, Datatype, Signature

DIGEST = Digest("sha256:" + "ab" * 32)


def test_a_release_is_written_as_model_and_number() -> None:
    assert ReleaseRef.parse("flight-delay@7") == ReleaseRef(model="flight-delay", number=7)


@pytest.mark.parametrize("text", ["sha256:abcdef12", "abcdef12"])
def test_a_release_is_written_as_a_digest_prefix(text: str) -> None:
    assert ReleaseRef.parse(text) == ReleaseRef(digest_prefix="sha256:abcdef12")


@pytest.mark.parametrize(
    "text", ["", "flight-delay", "m@0", "m@x", "m@²", "m@1" + 5000 * "0", "abc", "xyz12345"]
)
def test_anything_else_is_not_a_release(text: str) -> None:
    with pytest.raises(errors.Usage):
        ReleaseRef.parse(text)


@pytest.mark.parametrize("name", ["", "../etc", "A", "-x", "x" * 65, "a b", "a/b"])
def test_a_name_that_could_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(errors.Usage) as caught:
        checked_name(name, "model")
    assert caught.value.code == errors.BAD_NAME


def test_a_digest_is_one_of_sha256_and_whole() -> None:
    assert checked_digest(DIGEST) == DIGEST
    for text in (DIGEST[:-1], DIGEST.upper(), f"{DIGEST}\n", short(DIGEST)):
        with pytest.raises(errors.Usage, match="64 digits"):
            checked_digest(text)


def test_files_are_named_by_twelve_digits_of_the_digest() -> None:
    assert short(DIGEST) == "ab" * 6
    assert WorkerSlot(DIGEST, 2).id == "ab" * 6 + "-2"
    assert WorkerSlot(DIGEST, 2, "batch").id == "ab" * 6 + "-b2"


def test_workers_of_the_batch_lane_take_their_turn_from_the_other_end() -> None:
    turns = [WorkerSlot(DIGEST, 1, lane).turn for lane in ("realtime", "batch")]
    assert turns == [1, -2]
    assert layout.checkout(DIGEST) == "releases/" + "ab" * 6
    assert layout.worker_socket("x-1") == "run/w/x-1.sock"
    assert layout.gateway_facts(0) == "run/gateway-0.json"
    assert layout.segments("d", "rows") == "log/d/rows"


def test_only_numeric_columns_fit_a_matrix() -> None:
    number = Column("a", Datatype.FP64)
    text = Column("b", Datatype.BYTES)
    assert Signature((number,), ()).matrix_capable
    assert not Signature((number, text), ()).matrix_capable
    tensor = Column("c", Datatype.FP32, shape=(2, 3))
    assert not Signature((tensor,), ()).matrix_capable
    assert Signature((number, tensor), ()).tensors
    assert not Signature((number, text), ()).tensors
    told = ("c.mean", "c.std", "c.p1", "c.p2", "c.p3", "c.p4")
    assert (tensor.width, tensor.summary) == (6, told)
    assert (number.width, number.summary) == (1, ())
    assert Signature((number,), ()).column("a") is number
    assert Signature((number,), ()).column("z") is None


def test_a_release_is_named_by_model_and_number() -> None:
    manifest = Manifest(
        model="m",
        format="skops",
        model_path="model.skops",
        features=None,
        frame="pandas",
        tree=DIGEST,
        environment=EnvironmentLock("3.11.7", "linux", ()),
        data=None,
        signature=Signature((), ()),
        execution={},
        profile=None,
        golden=Golden(DIGEST, 0, 0.0, True),
    )
    assert Release(DIGEST, "m", 3, 0.0, manifest).name == "m@3"


def test_a_speed_tells_how_many_times_faster_the_engine_is() -> None:
    assert Speed(rows=1, native_seconds=0.004, engine_seconds=0.001).times == 4.0


def test_rows_can_be_taken_by_mask() -> None:
    rows = Rows(
        {"request_id": np.array(["a", "b"], object)},
        {"x": np.array([1.0, 2.0])},
        {"score": np.array([0.1, 0.2])},
    )
    taken = rows.take(np.array([False, True]))
    assert len(rows) == 2
    assert len(taken) == 1
    assert taken.inputs["x"].tolist() == [2.0]
    assert taken.outputs["score"].tolist() == [0.2]
    assert len(Labels({"label": np.array(["1"], object)})) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (1.0, "1"), (True, "true"), ("1", "1"), (0.5, "0.5"), (False, "false")],
)
def test_equal_labels_have_one_spelling(value: str | float, text: str) -> None:
    assert label_text(value) == text


def test_a_text_is_one_name_and_not_its_letters() -> None:
    assert names_of("age") == names_of(["age"]) == ("age",)
    assert names_of(None) == ()


def test_a_name_that_is_not_known_is_told_the_nearest_or_all() -> None:
    assert meant("segmets", ["segments", "groups"], "options") == "did you mean segments?"
    assert meant("zzz", ["segments", "groups"], "options") == "known options: segments, groups"


def test_names_that_come_more_than_once_are_told_once_and_in_their_order() -> None:
    assert repeated(["b", "a", "c", "a", "b", "b"]) == ["b", "a"]
    assert repeated(["b", "a"]) == []
