"""The quickstart as a user goes through it: its own commands and code, first on the project that
`trimtab init` makes, then on a data set that trimtab has never seen.

The data set is scikit-learn's diabetes study, told as a shop's customers: the age is the patients',
the plan their sex, and who churned is who got worse than most. Some ages are missing.
"""

import ast
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder
from tests.support.documents import blocks, commands
from tests.support.system import System, finished, sharing, until

import trimtab
import trimtab.errors
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.building import BuildOptions

pytestmark = pytest.mark.e2e

PAGE = "docs/quickstart.md"
SETUP = ("pip install", "scripts/", "trimtab up")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system in a folder that the first commands of the quickstart make."""
    made = System(tmp_path_factory.mktemp("own") / "my-project")
    with finished(made):
        yield made


def shell(system: System, script: str, folder: Path | None = None) -> str:
    """What a user sees who pastes `script` into a terminal."""
    addressed = script.replace("localhost:8080", system.inference.removeprefix("http://"))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", addressed],
        cwd=folder or system.folder,
        env=system.environment() | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, f"{addressed}\n{done.stdout}{done.stderr}"
    return done.stdout


def python(system: System, code: str, **known: Any) -> dict[str, Any]:
    """Run Python of a page in the project's folder, with the names that it takes for granted."""
    addressed = code.replace("http://127.0.0.1:8080", system.inference)
    with contextlib.chdir(system.folder):
        exec(compile(addressed, PAGE, "exec"), known)  # noqa: S102 - it is ours, and under test
    return known


def test_the_readme_gives_no_command_that_the_quickstart_does_not() -> None:
    """What is run below is what the README says."""
    longer = set(commands(PAGE))
    for command in commands("README.md", "Quickstart"):
        assert command.startswith(SETUP) or command in longer


def test_a_project_is_made_built_deployed_asked_and_labelled(
    system: System, environments: Path
) -> None:
    (make,) = blocks(PAGE, "2. Make a project", "sh")
    shell(system, make, system.folder.parent)
    sharing(system.folder, environments)
    (build,) = blocks(PAGE, "3. Build", "sh")
    assert "my-project@1" in shell(system, build)
    start, deploy, ask, label = blocks(PAGE, "4. Start and deploy", "sh")
    assert start.strip() == "trimtab up"
    system.start()
    shell(system, deploy.replace("deploy", "deploy --wait"))  # as it does on a terminal
    said = shell(system, ask + label)
    assert '"model_version":"1"' in said
    assert '"id":"case-1"' in said
    assert "my-project@1 serves all requests" in said


def test_the_client_of_the_project_asks_and_labels(system: System) -> None:
    script = system.folder / "predict.py"
    script.write_text(script.read_text().replace("http://127.0.0.1:8080", system.inference))
    assert "50 cases answered by my-project@1" in shell(system, "python predict.py 50")


def test_the_log_is_judged_without_asking_the_server(system: System) -> None:
    """The same report for the deployment's log, and for a table against the release."""
    until(lambda: system.verb("monitor", "my-project", "--json").json.get("rows") == 51)
    shell(system, "trimtab monitor my-project --since 1d --html report.html || test $? = 1")
    report = system.verb("monitor", "my-project", "--json").json
    assert report["release"] == "my-project@1"
    assert report["quality"]["coverage_ratio"] > 0.9
    assert {each["signal"] for each in report["streams"]} >= {"quality", "prediction", "upstream"}
    assert "my-project@1" in (system.folder / "report.html").read_text()
    assert system.verb("monitor", "nobody", "--json").json["error"]["code"] == "TT-601"
    late = system.verb("monitor", "my-project", "--since", "2999-01-01", "--json")
    assert late.json["error"]["code"] == "TT-910"


def test_a_table_is_judged_against_a_release(system: System) -> None:
    inputs = [
        column["name"]
        for column in system.verb("show", "my-project@1", "--json").json["signature"]["inputs"]
    ]
    live = pd.DataFrame({name: np.linspace(0.0, 1.0, 700) for name in inputs})
    report = trimtab.monitor(live=live, release="my-project@1", folder=system.folder)
    assert report.view.release == "my-project@1"
    assert report.verdict == "bad", "none of these values is one that the model has seen"
    with pytest.raises(trimtab.errors.Usage, match="it has no column"):
        trimtab.monitor(
            live=live.drop(columns=inputs[:1]), release="my-project@1", folder=system.folder
        )


@pytest.mark.slow
def test_a_changed_pipeline_makes_the_next_release_which_has_to_earn_its_traffic(
    system: System,
) -> None:
    pipeline = system.folder / "pipeline.py"
    pipeline.write_text(pipeline.read_text().replace("max_iter=1000", "max_iter=1000, C=0.5"))
    (build,) = blocks(PAGE, "5. The next release", "sh")
    shell(system, build)
    rollout = system.deployment("my-project")["rollout"]
    assert (rollout["release"], rollout["weight_ratio"]) == ("my-project@2", 0.0)
    assert "my-project@2" in shell(system, "trimtab status my-project")
    shell(system, "trimtab abort my-project && trimtab why my-project")
    assert system.deployment("my-project")["stable"]["release"] == "my-project@1"


@pytest.fixture(scope="module")
def customers(system: System) -> pd.DataFrame:
    """The user's own data, in a file beside the project's."""
    study = load_diabetes(as_frame=True, scaled=False).frame
    rows = pd.DataFrame(
        {
            "customer": [f"c-{number}" for number in range(len(study))],
            "seen_at": pd.date_range("2026-01-01", periods=len(study), freq="3h"),
            "age": study["age"].where(study.index % 9 != 0),
            "plan": study["sex"].map({1.0: "basic", 2.0: "plus"}),
            "churned": (study["target"] > study["target"].median()).astype(int),
        }
    )
    rows.to_csv(system.folder / "customers.csv", index=False)
    return rows


def test_what_the_page_gives_to_build_from_python_is_what_it_takes() -> None:
    """That it makes what the command makes is shown in `test_python_build`."""
    code, *_ = blocks(PAGE, "Your own data", "python")
    (call,) = (node for node in ast.walk(ast.parse(code)) if is_build(node))
    assert {each.arg for each in call.keywords} <= BuildOptions.__annotations__.keys()


def is_build(node: ast.AST) -> TypeGuard[ast.Call]:
    """Whether it is a call of `trimtab.build`."""
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "trimtab.build"


@pytest.fixture(scope="module")
def model(system: System, customers: pd.DataFrame) -> Pipeline:
    """A model that the user has already, and the labelled data that it was not fitted on."""
    old, newest = customers[:300], customers[300:]
    columns = make_column_transformer(
        (SimpleImputer(), ["age"]), (OneHotEncoder(handle_unknown="ignore"), ["plan"])
    )
    fitted = make_pipeline(columns, LogisticRegression()).fit(old[["age", "plan"]], old["churned"])
    skops.io.dump(fitted, system.folder / "churn.skops")
    newest.to_parquet(system.folder / "newest.parquet", index=False)
    return fitted


@pytest.mark.usefixtures("model")
def test_a_model_of_ones_own_becomes_a_release_by_file_and_by_pipeline(system: System) -> None:
    (by_file,) = blocks(PAGE, "Your own data", "sh")
    assert "churn@1" in shell(system, by_file)
    _, pipeline, _ = blocks(PAGE, "Your own data", "python")
    (system.folder / "churn.py").write_text(pipeline)
    with (system.folder / "trimtab.toml").open("a") as file:
        file.write("".join(f"\n{table}" for table in blocks(PAGE, "Your own data", "toml")))
    assert "churn@2" in shell(system, "trimtab check && trimtab build churn")
    described = system.typed("show", "churn@1", "--json").json["signature"]["inputs"]
    assert {each["name"]: each["nullable"] for each in described} == {"age": True, "plan": False}


def test_it_is_deployed_asked_and_labelled(system: System) -> None:
    """By key from Python, as the page does; and as any HTTP client would, with a file of labels."""
    system.stop()
    system.start()
    shell(system, "trimtab deploy churn --wait")
    assert system.deployment("churn")["stable"]["release"] == "churn@2"
    *_, ask = blocks(PAGE, "Your own data", "python")
    answer = python(system, ask)["answer"]
    assert answer.release == "churn@2"
    assert 0 < answer.outputs["score"][0] < 1
    said = shell(system, CURL)
    assert '"id":"by-hand"' in said
    (system.folder / "truth.csv").write_text("id,row,label\nby-hand,0,1\nby-hand,1,0\n")
    assert system.typed("label", "churn", "truth.csv", "--json").json["accepted"] == 2


CURL = """
curl -s -H 'Content-Type: application/json' localhost:8080/v2/models/churn/infer -d '
  {"id": "by-hand", "inputs": [
   {"name": "age", "datatype": "FP64", "shape": [2], "data": [null, 52]},
   {"name": "plan", "datatype": "BYTES", "shape": [2], "data": ["basic", "plus"]},
   {"name": "customer", "datatype": "BYTES", "shape": [2], "data": ["c-1", "c-2"]}]}'
"""


def test_what_was_asked_and_labelled_is_counted_joined_and_written_down(
    system: System, customers: pd.DataFrame
) -> None:
    with system.client() as client:
        for start in range(300, 440, 20):
            part = customers[start : start + 20]
            rows = part[["customer", "age", "plan"]]
            answer = client.predict("churn", rows)
            assert len(answer) == 20
    labels = customers[["customer", "churned"]].rename(
        columns={"customer": "key", "churned": "label"}
    )
    text = labels[300:440].to_csv(index=False)
    assert system.typed("label", "churn", "-", "--json", text=text).json["accepted"] == 140
    until(lambda: joined(system) == 143)
    until(lambda: system.deployment("churn")["requests"]["total"] == 9)
    assert system.typed("why", "churn", "--json").json["incidents"] == []
    events = system.typed("history", "churn", "--json").json["events"]
    assert ("rollout_started", "churn@2") in {(e["kind"], e["release"]) for e in events}
    assert "churn@2 serves all requests" in system.typed("status", "churn").out
    assert "churn@2 promoted" in system.typed("history", "churn").out
    assert "no incidents" in system.typed("why", "churn").out


def joined(system: System) -> int:
    """How many answers have a label in the log, as the next run of the pipeline would get them."""
    log = FolderRequestLog(system.home, lambda deployment: "customer")
    return log.labelled("churn", float("inf")).num_rows
