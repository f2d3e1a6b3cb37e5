"""A deployment's log, and a release's profile, judged from the state folder alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from click.testing import CliRunner
from tests.support.control import manifest, stored
from tests.support.request_log import SegmentWriter
from tests.support.tables import MEANING, table
from tests.support.traffic import BINARY, DAY, labelled, profile, rows

import trimtab
from trimtab import errors
from trimtab.app.stores import open_store
from trimtab.backends.blobs import ObjectBlobs
from trimtab.backends.home import open_home
from trimtab.cli.group import trimtab as command
from trimtab.domain import events as e
from trimtab.domain import layout
from trimtab.domain.deployment import DeploymentSpec, MonitorPlan
from trimtab.domain.names import Digest, ReleaseRef
from trimtab.domain.verdicts import Cause, Incident, RankedCause, Verdict
from trimtab.judge.audit import asked
from trimtab.judge.draft import Author
from trimtab.loop.store import Store, standing

FIRST = 20_000
"""October 4, 2024."""
SPEC = DeploymentSpec(name="d", model="m", monitor=MonitorPlan(segments=("side",)))

QUIET = DeploymentSpec(name="quiet", model="m", monitor=MonitorPlan(audit=0.05))
"""A deployment that nobody asks."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose release `m@1` has a profile and serves in `d`; `m@2` has none."""
    made = tmp_path_factory.mktemp("project")
    (made / "trimtab.toml").write_text("[deployment.d]\nmodel = 'm'\n")
    home = open_home(made / ".trimtab")
    blobs = ObjectBlobs.local(home / layout.BLOBS)
    store = open_store(home)
    store.lead("test")
    known = blobs.put(msgspec.json.encode(profile()))
    first = msgspec.structs.replace(manifest(1), profile=known, signature=BINARY)
    release = store.register(blobs.put(stored(first)), Author("test"))
    store.register(blobs.put(stored(manifest(2))), Author("test"))
    serve(store, release.digest, SPEC)
    serve(store, release.digest, QUIET)
    writer = SegmentWriter(home, "d")
    for day in range(12):
        write_day(writer, day, release.digest)
    return made


def serve(store: Store, digest: Digest, spec: DeploymentSpec) -> None:
    """Let the release serve."""
    candidate = standing(store.catalog.get(digest))
    events: tuple[e.AnyEvent, ...] = (
        e.SpecApplied(spec),
        e.RolloutStarted("r1", candidate, "now", FIRST * DAY),
        e.RolloutAdvanced("r1", "bake", 0, 10_000, FIRST * DAY),
    )
    store.commit(
        [e.NewEntry(at=1.0, actor="test", event=each, deployment=spec.name) for each in events]
    )


def write_day(writer: SegmentWriter, day: int, release: str) -> None:
    """A day of answers, one of them a shadow copy; labels are turned around from day 6 on."""
    made = rows(200, seed=day, start=(FIRST + day) * DAY)
    truth = labelled(made, seed=day, flip=0.45 if day >= 6 else 0.0).label
    common: dict[str, Any] = {"in.x": None, "in.carrier": None, "release": release}
    writer.rows(
        *(
            {
                **common,
                "request_id": made.fixed["request_id"][i],
                "event_time": float(made.fixed["event_time"][i]),
                "mode": "shadow" if i == 0 else "stable",
                "in.level": float(made.inputs["level"][i]),
                "in.side": made.inputs["side"][i],
                "out.score": float(made.outputs["score"][i]),
            }
            for i in range(len(made))
        )
    )
    writer.labels(
        *(
            {"request_id": made.fixed["request_id"][i], "label": truth[i], "at": 1.8e9}
            for i in range(0, len(made), 2)
        )
    )


def call(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, Any]:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("TRIMTAB_HOME", raising=False)
    done = CliRunner().invoke(command, ["monitor", *arguments, "--json"])
    return done.exit_code, json.loads(done.stdout)


def test_the_log_of_a_deployment_is_judged_as_its_loop_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, report = call(folder, monkeypatch, "d")
    assert code == 1
    assert report["release"] == "m@1"
    assert report["rows"] == 12 * 199
    assert report["block_seconds"] == DAY
    assert report["quality"]["coverage_ratio"] == pytest.approx(0.5, abs=0.01)
    quality = next(each for each in report["streams"] if each["signal"] == "quality")
    assert quality["verdict"] == "bad"
    assert quality["since_block"] == 7


def test_the_log_can_be_judged_from_some_time_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = call(folder, monkeypatch, "d", "--since", "2024-10-14T00:00:00Z")[1]
    last = call(folder, monkeypatch, "d", "--since", "36h")[1]
    assert late["blocks"] == 2
    assert last["blocks"] == 2
    code, none = call(folder, monkeypatch, "d", "--since", "2026-01-01")
    assert (code, none["error"]["code"]) == (2, "TT-910")


def test_a_deployment_that_serves_nothing_is_not_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, view = call(folder, monkeypatch, "nobody")
    assert (code, view["error"]["code"]) == (1, "TT-601")


def live_table() -> pa.Table:
    made = rows(2000, seed=77, start=1_700_000_000.0, seconds=10 * DAY)
    return pa.table(
        {
            "when": pa.array(made.fixed["event_time"]),
            "level": pa.array(made.inputs["level"]),
            "side": pa.array(made.inputs["side"].tolist()),
            "score": pa.array(made.outputs["score"]),
            "truth": pa.array(labelled(made).label.tolist()),
        }
    )


def test_a_table_is_judged_against_a_release(folder: Path) -> None:
    meaning: dict[str, Any] = {"score": "score", "time": "when", "target": "truth"}
    report = trimtab.monitor(live=live_table(), release="m@1", folder=folder, **meaning)
    assert report.view.release == "m@1"
    assert report["quality"].verdict == "ok"
    assert report["input:level"].verdict == "ok"
    assert {each.segment for each in report.view.segments} == {"side=left", "side=right"}


@pytest.mark.parametrize(
    ("release", "live", "code"),
    [
        ("m@2", live_table(), "TT-205"),
        ("m@3", live_table(), "TT-201"),
        ("m@1", live_table().drop_columns(["level"]), "TT-910"),
        ("m@1", live_table().set_column(1, "level", pa.array(["x"] * 2000)), "TT-910"),
    ],
)
def test_a_release_that_cannot_be_compared_with_is_refused(
    folder: Path, release: str, live: pa.Table, code: str
) -> None:
    with pytest.raises(trimtab.errors.TrimtabError) as caught:
        trimtab.monitor(live=live, release=release, folder=folder)
    assert caught.value.code == code


def test_both_a_reference_and_a_release_is_one_too_many(folder: Path) -> None:
    with pytest.raises(trimtab.errors.Usage, match="both"):
        trimtab.monitor(table(), table(), release="m@1", folder=folder, **MEANING)


def audited(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[int, dict[str, Any]]:
    """What `trimtab audit` says."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("TRIMTAB_HOME", raising=False)
    done = CliRunner().invoke(command, ["audit", *arguments, "--json"])
    return done.exit_code, json.loads(done.stdout)


def test_an_audit_asks_for_the_rows_that_the_monitors_will_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, view = audited(folder, monkeypatch, "d", "--rate", "0.1")
    assert code == 0
    assert view["predictions"] == 12 * 199
    assert view["asked"] == view["labelled"] + len(view["waiting"])
    names = [f"{day}-{i}" for day in range(12) for i in range(1, 200)]
    chosen = asked("d", names, [0] * len(names), 0.1)
    assert view["asked"] == int(chosen.sum())
    without = {name for name, mine in zip(names, chosen, strict=True) if mine}
    without = {name for name in without if int(name.partition("-")[2]) % 2}
    assert {each["id"] for each in view["waiting"]} == without
    times = [each["at"] for each in view["waiting"]]
    assert times == sorted(times)


def test_an_audit_of_the_last_days_asks_for_fewer(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, view = audited(folder, monkeypatch, "d", "--rate", "0.1", "--last", "2d")
    assert view["predictions"] == pytest.approx(2 * 199, abs=2)


def test_of_a_deployment_without_traffic_an_audit_asks_for_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, view = audited(folder, monkeypatch, "quiet", "--last", "2d")
    assert (view["predictions"], view["asked"], view["waiting"]) == (0, 0, [])
    assert view["rate_ratio"] == 0.05


@pytest.mark.parametrize(
    ("arguments", "code", "hint"),
    [
        (("d",), errors.BAD_VALUE, "monitor.audit = 0.01"),
        (("d", "--rate", "2"), errors.BAD_VALUE, "--rate 0.01"),
        (("d", "--rate", "0.1", "--last", "soon"), errors.BAD_VALUE, "--last 7d"),
        (("nobody", "--rate", "0.1"), errors.NO_SUCH_DEPLOYMENT, "trimtab status"),
    ],
)
def test_an_audit_of_an_unknown_share_or_of_nobody_is_refused(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: str,
    hint: str,
) -> None:
    done, view = audited(folder, monkeypatch, *arguments)
    assert done != 0
    assert view["error"]["code"] == code
    assert hint in view["error"]["hint"]


@pytest.fixture(scope="module")
def incident(folder: Path) -> str:
    """An incident about quality and a column, from day 6 on."""
    store = open_store(open_home(folder / ".trimtab"))
    store.lead("test")
    release = store.catalog.find(ReleaseRef.parse("m@1")).digest
    since = (FIRST + 6) * DAY
    bad: dict[str, Any] = {"verdict": "bad", "reason": "worse", "release": release}
    verdicts = (
        Verdict(signal="input:level", tier="note", scope={"column": "level"}, **bad),
        Verdict(signal="quality", tier="page", evidence_log10=9.0, **bad),
        Verdict(signal="errors", tier="page", verdict="ok", reason="", release=release),
    )
    opened = Incident(
        id="d-quality-1", deployment="d", release=release, tier="page", opened_at=since + DAY,
        first_evidence_at=since, signals=("quality",), severity="worse",
        causes=(RankedCause(Cause.CONCEPT_DRIFT, 1, ("worse",)),), verdicts=verdicts,
    )  # fmt: skip
    event = e.IncidentOpened(opened)
    store.commit([e.NewEntry(at=2.0, actor="test", event=event, deployment="d")])
    return opened.id


def test_an_incident_is_shown_in_the_rows_of_its_time(
    folder: Path, incident: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(command, ["samples", incident, "--rows", "2", "--json"])
    assert done.exit_code == 0, done.output
    view = json.loads(done.stdout)
    assert [signal["signal"] for signal in view["signals"]] == ["quality", "input:level"]
    worst, level = view["signals"]
    assert worst["of"] == 6 * 99, "every other answer has a label"
    assert level["of"] == 6 * 199, "shadow copies are left out"
    assert [sample["value"][-14:] for sample in worst["samples"]] == ["the truth is 1"] * 2
    assert all(sample["at"] >= view["since"] for sample in worst["samples"])
    assert level["column"] == "level"
    assert 0.0 <= level["share"] < 0.2
    text = CliRunner().invoke(command, ["samples", incident]).stdout
    assert "the answers furthest from the truth" in text


@pytest.mark.parametrize("name", ["d-quality-9", "risk"])
def test_an_incident_that_nobody_knows_is_told(
    folder: Path, incident: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(command, ["samples", name])
    assert done.exit_code == 1
    assert "no incident has that id (TT-612)" in done.stderr
    assert "hint: trimtab why" in done.stderr


def test_an_incident_whose_rows_are_gone_is_told(
    folder: Path, incident: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "project"
    shutil.copytree(folder, home)
    shutil.rmtree(home / ".trimtab" / layout.LOG)
    monkeypatch.chdir(home)
    done = CliRunner().invoke(command, ["samples", incident])
    assert done.exit_code == 2
    assert "the log holds no row of its time" in done.stderr
