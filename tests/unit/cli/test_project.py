"""init, check, build's options and labels: what needs no server."""

import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from trimtab import errors
from trimtab.building import Asked, request
from trimtab.cli.api import revived
from trimtab.cli.checking import check
from trimtab.cli.group import trimtab
from trimtab.cli.labels import read_labels
from trimtab.cli.screen import exit_code, told
from trimtab.domain.config import parse_config
from trimtab.judge.own_loss import OwnLoss


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh project called `wine`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRIMTAB_HOME", raising=False)
    result = call("init", "wine")
    assert result.exit_code == 0, result.stderr
    return tmp_path / "wine"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(trimtab, arguments)


def test_init_writes_a_project_under_its_own_name(made: Path) -> None:
    files = sorted(path.name for path in made.iterdir())
    assert files == [
        ".gitignore",
        "README.md",
        "features.py",
        "pipeline.py",
        "predict.py",
        "requirements.txt",
        "trimtab.toml",
    ]
    assert "[deployment.wine]" in (made / "trimtab.toml").read_text()
    assert not [path for path in made.iterdir() if "my-model" in path.read_text()]


def test_what_init_writes_is_in_order(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    result = call("check", "--json")
    assert result.exit_code == 0, result.output
    view = json.loads(result.stdout)
    assert (view["ok"], view["deployments"], view["models"]) == (True, ["wine"], ["wine"])


def test_init_overwrites_nothing(made: Path) -> None:
    (made / "trimtab.toml").write_text("mine")
    (made / "features.py").unlink()
    result = call("init", "wine")
    assert (result.exit_code, "TT-111" in result.stderr) == (1, True)
    assert (made / "trimtab.toml").read_text() == "mine"
    assert not (made / "features.py").exists()


def test_init_refuses_a_file_in_its_place_and_a_bad_name(made: Path) -> None:
    Path("other").write_text("")
    assert call("init", "other").exit_code == 1
    assert call("init", "Bad Name").exit_code == 2


def test_the_project_trains_on_its_own_data(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps, run as the pipeline runs them: first without, then with served labels."""
    import importlib
    import sys

    import pandas as pd

    monkeypatch.syspath_prepend(made)
    for name in ("features", "pipeline"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    pipeline = importlib.import_module("pipeline")
    empty = made / "labelled.parquet"
    pd.DataFrame({"label": []}).to_parquet(empty)
    first, second = made / "dataset", made / "model"
    first.mkdir()
    second.mkdir()
    pipeline.dataset(empty, {"holdout": "0.35", "seed": "0"}, first)
    pipeline.model(first, second)
    reference = pd.read_parquet(second / "reference.parquet")
    assert (second / "model.skops").is_file()
    assert set(reference["malignant"]) == {0, 1}
    served = reference.head(20).rename(columns={"malignant": "label"})
    served.assign(case=[f"new-{n}" for n in range(20)]).to_parquet(empty)
    pipeline.dataset(empty, {"holdout": "0.35", "seed": "0"}, first)
    rows = sum(len(pd.read_parquet(part)) for part in first.iterdir())
    assert rows == 569 + 20
    for name in ("features", "pipeline"):
        sys.modules.pop(name, None)


def test_check_names_everything_that_is_wrong_at_once(made: Path) -> None:
    (made / "features.py").write_text("def other(): ...\n")
    (made / "requirements.txt").unlink()
    (made / "pipeline.py").write_text("def dataset(:\n")
    config = parse_config(
        {
            "deployment": {
                "d": {"model": "x", "retrain": {"when": ["quality"]}, "scale": {"min": 3, "max": 1}}
            },
            "model": {
                "wine": {
                    "pipeline": "pipeline.py",
                    "steps": ["dataset"],
                    "requirements": "requirements.txt",
                    "features": "features:features",
                    "source": "none.parquet",
                }
            },
        },
        {},
    )
    view = check(made, config)
    assert [problem.subject for problem in view.problems] == [
        "model.wine.requirements",
        "model.wine.source",
        "model.wine.steps",
        "model.wine.features",
        "deployment.d.retrain",
        "deployment.d.scale",
    ]


@pytest.mark.parametrize(
    ("file", "text", "features", "ok"),
    [
        ("lib/__init__.py", "def make(frame): ...\n", "lib:make", True),
        ("lib/deep.py", "from lib.other import make\n", "lib.deep:make", True),
        ("lib.py", "from other import *\n", "lib:make", True),
        ("lib.py", "from other import some as make\n", "lib:make", True),
        ("lib.py", "make = partial(some, 1)\n", "lib:make", True),
        ("lib.py", "from make import some\n", "lib:make", False),
        ("lib.py", "def other(frame): ...\n", "lib:make", False),
        ("other.py", "def make(frame): ...\n", "lib:make", False),
    ],
)
def test_check_refuses_no_features_that_a_build_takes(
    made: Path, file: str, text: str, features: str, ok: bool
) -> None:
    (made / file).parent.mkdir(exist_ok=True)
    (made / file).write_text(text)
    text = (made / "trimtab.toml").read_text()
    config = parse_config(tomllib.loads(text.replace("features:features", features)), {})
    assert check(made, config).ok == ok


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"model_file": "lib:Model", "trust": "code"}, None),
        ({"model_file": "lib:Model"}, "runs its author's code when it is loaded"),
        ({"trust": "code"}, "'model.skops' is not written module:name"),
        ({"model_file": "lib.py:Model", "trust": "code"}, "is not written module:name"),
        ({"model_file": "lib:Modell", "trust": "code"}, "lib.py has no class 'Modell'"),
        ({"model_file": "bil:Model", "trust": "code"}, "there is no file bil.py"),
    ],
)
def test_check_finds_what_a_build_would_of_a_model_that_is_a_class(
    made: Path, told: dict[str, str], problem: str | None
) -> None:
    (made / "lib.py").write_text("def fit(out): ...\nclass Model: ...\n")
    wanted = {"pipeline": "lib.py", "steps": ["fit"], "requirements": "requirements.txt"}
    config = parse_config({"model": {"m": {**wanted, "format": "python", **told}}}, {})
    found = [each.message for each in check(made, config).problems]
    assert len(found) == (problem is not None)
    assert problem is None or problem in found[0]


def test_check_finds_addresses_that_cannot_be_opened(made: Path) -> None:
    config = parse_config(
        {"server": {"inference": "127.0.0.1:9000", "admin": "0.0.0.0:9000", "grpc": "[::1]:0"}}, {}
    )
    assert [problem.subject for problem in check(made, config).problems] == ["server.admin"]
    config = parse_config({"server": {"inference": "localhost:9", "grpc": "localhost:9"}}, {})
    told = [problem.message for problem in check(made, config).problems]
    assert told == ["localhost:9 is the address of server.inference too"]
    assert check(made, parse_config({"server": {"grpc": "off"}}, {})).ok


def test_check_doubts_a_promise_that_no_answer_can_break(made: Path) -> None:
    config = parse_config({"deployment": {"d": {"slo": {"latency_p99": 50}}}}, {})
    (problem,) = check(made, config).problems
    assert "50 s is promised" in problem.message
    assert "50ms" in problem.hint


def test_a_cause_that_the_message_holds_is_told_once() -> None:
    error = errors.Usage(errors.BAD_VALUE, "read", "x", "it is not TOML: no value", hint="edit it")
    error.__cause__ = ValueError("no value")
    assert told(error).count("no value") == 1


def test_check_says_which_key_is_unknown(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    (made / "trimtab.toml").write_text("[deployment.wine]\nmodle = 'wine'\n")
    result = call("check")
    assert (result.exit_code, "did you mean model?" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("model", "given", "form"),
    [
        ("m.skops", None, "skops"),
        ("m.onnx", None, "onnx"),
        ("m.pkl", None, "pickle"),
        ("m.json", "xgboost", "xgboost"),
        ("module:Model", None, "python"),
    ],
)
def test_the_format_is_said_by_option_or_ending(
    tmp_path: Path, model: str, given: str | None, form: str
) -> None:
    if ":" not in model:
        (tmp_path / model).write_bytes(b"x")
    asked = request(Asked(name="m", model=model, format=given), tmp_path)
    assert asked.format == form
    assert (asked.entry is None) == (asked.model is not None)


def test_reference_options_reach_the_request(tmp_path: Path) -> None:
    for name in ("m.skops", "ref.csv", "req.txt"):
        (tmp_path / name).write_text("")
    asked = Asked(
        name="m",
        model="m.skops",
        reference=Path("ref.csv"),
        target="late",
        segments="a,b",
        groups="c",
        loss="score",
        loss_bound=2.0,
        requirements=Path("req.txt"),
        trust="code",
    )
    made = request(asked, tmp_path)
    assert made.reference is not None
    assert (made.reference.target, made.reference.segments) == ("late", ("a", "b"))
    assert made.reference.groups == ("c",)
    assert made.reference.loss == OwnLoss("score", 2.0)
    assert (made.trust, made.requirements) == ("code", tmp_path / "req.txt")


@pytest.mark.parametrize(("model", "code"), [("m.txt", "TT-102"), ("none.skops", "TT-210")])
def test_a_model_that_cannot_be_read_is_refused(tmp_path: Path, model: str, code: str) -> None:
    (tmp_path / "m.txt").write_text("")
    with pytest.raises(errors.Usage) as caught:
        request(Asked(name="m", model=model), tmp_path)
    assert caught.value.code == code


@pytest.mark.parametrize("option", ["target", "positive", "time", "key", "segments", "loss"])
def test_a_column_of_a_reference_that_is_not_given_is_refused(tmp_path: Path, option: str) -> None:
    """A release would be made that nobody can judge."""
    (tmp_path / "m.skops").write_text("")
    given: dict[str, Any] = {option: "y"}
    with pytest.raises(errors.Usage, match=f"--{option} without --reference") as caught:
        request(Asked(name="m", model="m.skops", **given), tmp_path)
    assert caught.value.code == errors.BAD_VALUE


def test_the_hint_for_a_missing_file_lists_the_folder_it_was_looked_for_in(tmp_path: Path) -> None:
    with pytest.raises(errors.Usage) as caught:
        request(Asked(name="m", model="none.skops"), tmp_path)
    assert caught.value.hint == f"ls {tmp_path}"


def test_labels_are_read_from_csv_and_from_json_lines() -> None:
    csv = ["id,row,label,at\n", "a,1,late,2013-04-01T00:00:00+00:00\n", "b,,0,\n"]
    first, second = read_labels(csv, "x.csv")
    assert (first.id, first.row, first.label) == ("a", 1, "late")
    assert first.at == datetime(2013, 4, 1, tzinfo=UTC)
    assert (second.row, second.at) == (0, None)
    (third,) = read_labels(['{"key": "k", "label": 1}\n', "\n"], "x.jsonl")
    assert (third.key, third.label) == ("k", 1)
    assert list(read_labels([], "empty")) == []
    (fourth,) = read_labels(["key;label\n", "k,1;late\n"], "x.csv")
    (fifth,) = read_labels(["\n", '{"id": "a", "label": 1, "row": 2.0}\n'], "x.jsonl")
    assert (fifth.id, fifth.row) == ("a", 2)
    assert (fourth.key, fourth.label) == ("k,1", "late")


@pytest.mark.parametrize(
    "lines",
    [
        ["id,lable\n", "a,1\n"],
        ["label\n", "1\n"],
        ["rubbish\n"],
        ["case-1,1\n"],
        ["id,key,label\n", "a,b,1\n"],
        ["id,label,at\n", "a,1,yesterday\n"],
        ["id,row,label\n", "a,x,1\n"],
        ["id,label\n", "a,1,2\n"],
        ["id,label\n", f"{'a' * 200_000},1\n"],
        ['{"id": null, "label": 1}\n'],
        ['{"id": "a", "label": 1, "row": 0.7}\n'],
        ['{"id": "a", "label": 1, "row": Infinity}\n'],
        ['{"id": \n'],
        ['{"id": "a", "label": 1}\n', "[]\n"],
    ],
)
def test_a_line_that_is_no_label_is_named_by_its_number(lines: list[str]) -> None:
    with pytest.raises(errors.Usage) as caught:
        list(read_labels(lines, "x"))
    assert caught.value.code == errors.BAD_LABELS
    assert caught.value.subject.startswith("x:")


def test_labels_that_are_no_text_are_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes("id,label\ncaf\u00e9,1\n".encode("latin-1"))
    with path.open(encoding="utf-8") as file, pytest.raises(errors.Usage, match="not UTF-8") as bad:
        list(read_labels(file, str(path)))
    assert (bad.value.code, bad.value.subject) == (errors.BAD_LABELS, str(path))


def test_an_error_is_told_in_four_parts() -> None:
    error = errors.Permanent(
        errors.LOCK_FAILED, "build", "m", "no lock", "nothing was built", "fix it"
    )
    error.__cause__ = OSError("disk full")
    assert told(error) == (
        "error: build m: no lock (TT-301)\n"
        "  because: disk full\n"
        "  unchanged: nothing was built\n"
        "hint: fix it"
    )


@pytest.mark.parametrize(
    ("family", "code"),
    [
        (errors.Usage, 2),
        (errors.NotFound, 1),
        (errors.Refused, 1),
        (errors.Integrity, 1),
        (errors.Unavailable, 3),
        (errors.TimedOut, 4),
    ],
)
def test_families_have_their_exit_codes(family: type[errors.TrimtabError], code: int) -> None:
    assert exit_code(family(errors.BAD_NAME, "do", "it", "because")) == code


def test_what_the_guard_rolled_back_ends_with_5() -> None:
    assert exit_code(errors.Refused(errors.ROLLED_BACK, "promote", "m@2", "it is bad")) == 5


def test_an_answer_that_is_no_error_shape_is_a_fault() -> None:
    assert revived(502, b"<html>").code == errors.UNEXPECTED
    body = b'{"error":{"code":"TT-999","operation":"a","subject":"b","message":"c",'
    body += b'"causes":["x","y"],"unchanged":"","hint":"","retryable":false}}'
    error = revived(404, body)
    assert isinstance(error, errors.NotFound)
    assert (error.code, list(error.causes())) == (errors.UNEXPECTED, ["x", "y"])
