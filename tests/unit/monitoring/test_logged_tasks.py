"""The log of a model of each task is judged, with labels that the log holds as texts."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.support.control import manifest, stored
from tests.support.request_log import SegmentWriter

from trimtab.app.monitoring import logged
from trimtab.app.projects import Project
from trimtab.app.stores import open_store
from trimtab.backends.blobs import ObjectBlobs
from trimtab.backends.home import open_home
from trimtab.domain import events as e
from trimtab.domain import layout
from trimtab.domain.deployment import DeploymentSpec, MonitorPlan, ProjectConfig
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.judge.draft import Author
from trimtab.judge.profile import Reference, build_profile
from trimtab.loop.store import standing
from trimtab.monitoring.served import monitor_deployment

ROWS, HOUR = 800, 3600.0
X = np.linspace(0.0, 10.0, ROWS)
COLUMNS = (Column("x", Datatype.FP64),)
VALUE = Signature(COLUMNS, (Output("prediction", Datatype.FP64),), task="regression")
CLASSES = ("low", "middle", "top")
CLASS = Signature(
    COLUMNS,
    (Output("scores", Datatype.FP64, shape=(3,)), Output("label", Datatype.BYTES)),
    task="multiclass",
    classes=CLASSES,
)
SPEC = DeploymentSpec(name="d", model="m", monitor=MonitorPlan(block_seconds=HOUR))


def named(values: np.ndarray) -> np.ndarray:
    """The third of the range that a value lies in."""
    classes: np.ndarray = np.array(CLASSES, dtype=object)
    return classes.take(np.minimum(values / 3.4, 2).astype(int))


def answers(signature: Signature) -> dict[str, np.ndarray]:
    """What the model says of `X`."""
    if signature is VALUE:
        return {"prediction": X}
    return {"scores": np.eye(3)[(X / 3.4).astype(int)] * 0.7 + 0.1, "label": named(X)}


def truth(signature: Signature, wrong: float, seed: int) -> np.ndarray:
    """Near what the model says, and farther from it by `wrong`."""
    off = np.random.default_rng(seed).normal(wrong, 0.5, ROWS)
    values = np.clip(X + off, 0.0, 10.0)
    return named(values) if signature is CLASS else values.astype(str).astype(object)


@pytest.mark.parametrize("signature", [VALUE, CLASS], ids=["regression", "multiclass"])
def test_a_model_that_errs_more_than_on_its_reference_is_bad(
    tmp_path: Path, signature: Signature
) -> None:
    home = open_home(tmp_path / ".trimtab")
    blobs, store = ObjectBlobs.local(home / layout.BLOBS), open_store(home)
    store.lead("test")
    known = Reference(signature, {"x": X}, answers(signature), truth(signature, 0.0, 1), None)
    profile = blobs.put(msgspec.json.encode(build_profile(known)))
    made = msgspec.structs.replace(manifest(1), profile=profile, signature=signature)
    release = store.register(blobs.put(stored(made)), Author("test"))
    rollout = e.RolloutStarted("r1", standing(store.catalog.get(release.digest)), "now", 1.0)
    events = (e.SpecApplied(SPEC), rollout, e.RolloutAdvanced("r1", "bake", 0, 10_000, 1.0))
    store.commit([e.NewEntry(at=1.0, actor="test", event=each, deployment="d") for each in events])
    write(SegmentWriter(home, "d"), signature, release.digest)

    report = monitor_deployment(logged(Project(tmp_path, home, ProjectConfig()), "d", None))
    assert report["quality"].verdict == "bad"
    assert report.view.rows == ROWS * 3


def write(writer: SegmentWriter, signature: Signature, release: str) -> None:
    """Hours of answers with their labels, of a model that errs by far."""
    for hour in range(3):
        said, told = answers(signature), truth(signature, 3.0, hour)
        ids = [f"{hour}-{i}" for i in range(ROWS)]
        common: dict[str, Any] = {"release": release, "mode": "stable"}
        writer.rows(
            *(
                {
                    **common,
                    "request_id": ids[i],
                    "event_time": (480_000 + hour) * HOUR + i,
                    "in.x": float(X[i]),
                    **{
                        f"out.{name}": values[i]
                        for name, values in said.items()
                        if values.ndim == 1
                    },
                }
                for i in range(ROWS)
            )
        )
        writer.labels(*({"request_id": ids[i], "label": told[i], "at": 1.8e9} for i in range(ROWS)))
