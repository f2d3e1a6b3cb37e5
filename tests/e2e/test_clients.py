"""Clients that nobody here wrote, against the whole system, in an environment of their own."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.project import request
from tests.support.system import System, copied, running, until

pytestmark = [pytest.mark.e2e, pytest.mark.clients]

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv-clients" / "bin"


@pytest.fixture(scope="module")
def system(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that serves risk@1 and nothing else."""
    folder = copied(built, tmp_path_factory.mktemp("clients") / "project")
    config = folder / "trimtab.toml"
    config.write_text(config.read_text("utf-8").partition("[deployment.other]")[0], "utf-8")
    with running(folder) as made:
        made.json("deploy", "risk", "--release", "risk@1", "--wait")
        until(lambda: len(made.workers()) == 2)
        yield made


@pytest.mark.parametrize("script", ["triton_http", "triton_aio", "mlflow_scoring"])
def test_a_foreign_client_works_unchanged(system: System, script: str) -> None:
    done = subprocess.run(
        [BIN / "python", "-m", f"tests.clients.{script}", system.inference],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_curl_works_with_what_its_manual_says(system: System) -> None:
    body = json.dumps(request(2))
    kind = "Content-Type: application/json"
    url = f"{system.inference}/v2/models/risk/infer"
    plain = ["curl", "--silent", "--show-error", "--fail-with-body", url, "--data", "@-"]
    for more in ([], ["--compressed"], ["--header", "Transfer-Encoding: chunked"]):
        done = subprocess.run(
            [*plain, "--header", kind, *more],
            input=body,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert json.loads(done.stdout)["model_name"] == "risk"
    refused = subprocess.run(
        plain, input=body, capture_output=True, text=True, timeout=30, check=False
    )
    assert "application/json" in json.loads(refused.stdout)["error"]


def test_schemathesis_finds_nothing(system: System, tmp_path: Path) -> None:
    """Whether a request that fits the schema is taken depends on the release: that is not asked."""
    done = subprocess.run(
        [
            *(BIN / "schemathesis", "run", f"{system.inference}/openapi.json"),
            *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
            *("--max-examples", "30", "--seed", "1", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert system.ask("/v2/health/ready").status == 200
