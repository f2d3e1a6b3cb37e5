"""What each process loads: nothing that only another one needs, to be small and start fast."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

DATA = {"pyarrow", "pandas", "duckdb", "sqlalchemy", "alembic"}
PAGES = {"starlette", "uvicorn", "jinja2", "rich"}
BUILDS = {"uv", "obstore", "rfc8785"}
NUMBERS = {"numpy"}
TRAFFIC = {"uvloop", "httptools", "prometheus_client"}
TELLS = """
from trimtab.cli.verbs.up import Screen, UpView, tell
tell(Screen(), UpView("http://a", "http://b", 1, "p/.trimtab"))
"""
VERBS = """
from importlib import import_module
from pkgutil import iter_modules
from trimtab.cli import verbs
for verb in iter_modules(verbs.__path__):
    import_module(f"trimtab.cli.verbs.{verb.name}")
"""


def loaded(code: str) -> set[str]:
    """The modules of an interpreter that has run `code`."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("process", "code", "forbidden"),
    [
        (
            "agent",
            "import trimtab.cli.verbs.up, trimtab.app.node, trimtab.app.projects",
            DATA | PAGES | NUMBERS | TRAFFIC,
        ),
        (
            "agent that has told where it listens",
            TELLS,
            PAGES,
        ),
        ("gateway", "import trimtab.gateway.__main__", DATA | PAGES | BUILDS),
        (
            "controller",
            "import trimtab.web.__main__",
            {"pandas", "duckdb", "alembic", "rich", "uv", "pyarrow.dataset"} | TRAFFIC,
        ),
        ("nanny", "import trimtab.agent.nanny", {"asyncio", "msgspec", "subprocess"}),
        (
            "library on tables",
            "import trimtab; trimtab.monitor",
            {"pandas", "duckdb", "sqlalchemy", "alembic"} | PAGES | BUILDS | TRAFFIC,
        ),
        ("bare import", "import trimtab", DATA | PAGES | BUILDS | NUMBERS | TRAFFIC),
        ("command line", "import trimtab.cli", DATA | PAGES | BUILDS | NUMBERS | {"asyncio"}),
        ("any verb that asks a running system", VERBS, DATA | BUILDS | NUMBERS),
    ],
)
def test_a_process_does_not_load_what_another_one_needs(
    process: str, code: str, forbidden: set[str]
) -> None:
    found = loaded(code)
    assert "trimtab" in found
    assert found & forbidden == set(), process


def test_judging_files_does_not_load_pandas(tmp_path: Path) -> None:
    """Arrow loads it where it is installed for much of what it offers."""
    rng = np.random.default_rng(0)
    for name, start in (("reference", 0), ("live", 40)):
        score = rng.random(600)
        columns: dict[str, Any] = {
            "when": (np.arange(600) // 20 + start) * np.timedelta64(86_400, "s")
            + np.datetime64("2026-01-01T00:00:00"),
            "size": pa.array(rng.normal(size=600), mask=rng.random(600) < 0.1),
            "count": rng.integers(0, 9, 600),
            "plan": pa.array([None, "a", "b", f"{start}"] * 150),
            "note": pa.array([f"a note {number}" for number in range(600)]),
            "score": score,
            "label": (rng.random(600) < score).astype(int),
        }
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    meant = "target='label', score='score', time='when', segments=['plan']"
    files = f"{str(tmp_path / 'reference.parquet')!r}, {str(tmp_path / 'live.parquet')!r}"
    found = loaded(f"import trimtab; trimtab.monitor({files}, {meant})")
    assert "trimtab.monitoring.counting" in found
    assert "pandas" not in found
