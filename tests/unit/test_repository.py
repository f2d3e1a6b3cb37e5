"""Facts about the repository that no compiler checks."""

import ast
import doctest
import importlib
import importlib.metadata
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import trimtab
import trimtab.stats

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "trimtab"
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
LAYERS = sorted(path.name for path in SOURCE.iterdir() if path.is_dir() and any(path.rglob("*.py")))
INDEX_HOST = re.compile(
    r"https?://[^\s\"'`)>]*(?:pypi|pythonhosted|/simple\b)|--(?:extra-)?index-url[ =]h"
)
MACHINE_PATH = re.compile(r"(?<![\w.}])/(?:root|work/(?:main|shared)|opt/(?:pypi|wheels))\b")


def tracked_files() -> list[Path]:
    """Every file that git tracks and that is still in the work tree."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def tracked_texts() -> list[tuple[Path, str]]:
    """The tracked files that are text, this one aside, for it must name what it forbids."""
    texts = []
    for path in tracked_files():
        data = path.read_bytes()
        if path != Path(__file__).resolve() and b"\0" not in data:
            texts.append((path.relative_to(ROOT), data.decode("utf-8")))
    return texts


def modules_below(package: ModuleType) -> list[str]:
    """The dotted names of a package and of everything in it."""
    return [
        package.__name__,
        *(info.name for info in pkgutil.walk_packages(package.__path__, package.__name__ + ".")),
    ]


def imported_roots(path: Path) -> set[str]:
    """The first name of every absolute import in a source file."""
    roots = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            roots.add(node.module.split(".")[0])
    return roots


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_states_its_charter(layer: str) -> None:
    """What belongs in a folder, and what may not, is said where the folder begins."""
    if not (SOURCE / layer / "__init__.py").exists():
        pytest.fail(f"src/trimtab/{layer} has no __init__.py and so no charter")
    charter = ast.get_docstring(ast.parse((SOURCE / layer / "__init__.py").read_text())) or ""
    assert len(charter.splitlines()) >= 3


def test_version_is_stated_once_and_the_same() -> None:
    """The project file, the installed metadata and the package agree on the version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == trimtab.__version__ == importlib.metadata.version("trimtab")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_locks_pin_every_package_by_hash_and_name_no_index(lock: Path) -> None:
    """A lock says what is installed, and leaves where it comes from to the machine."""
    lines = lock.read_text().splitlines()
    assert not [line for line in lines if "://" in line or line.startswith("-")]
    entries = re.split(r"\n(?=\S)", lock.read_text())
    unhashed = [e for e in entries if not e.startswith("#") and "--hash=sha256:" not in e]
    assert unhashed == []


def test_lock_covers_every_dependency_of_the_project() -> None:
    """A dependency that was added without scripts/lock is found here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    names = {re.split(r"[<>=!~ \[;]", item)[0] for item in wanted}
    locked = set(
        re.findall(r"^([\w.-]+)==", (ROOT / "requirements/dev.txt").read_text(), re.MULTILINE)
    )
    assert names - locked == set()


def test_no_tracked_file_is_larger_than_a_megabyte() -> None:
    """Data and models are fetched or made, never committed."""
    large = [path for path in tracked_files() if path.stat().st_size > 1_000_000]
    assert large == []


def test_no_tracked_file_names_a_package_index_or_a_path_of_one_machine() -> None:
    """What works here works elsewhere."""
    found = [
        (path, match.group())
        for path, text in tracked_texts()
        for pattern in (INDEX_HOST, MACHINE_PATH)
        for match in pattern.finditer(text)
    ]
    assert found == []


def test_modules_stay_short() -> None:
    """A file that passes 600 lines has become two files."""
    long = [
        path.relative_to(ROOT)
        for folder in (SOURCE, ROOT / "tests")
        for path in folder.rglob("*.py")
        if len(path.read_text().splitlines()) > 600
    ]
    assert long == []


def test_functions_stay_short() -> None:
    """No function of the package is longer than 60 lines."""
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= 60
    ]
    assert long == []


def test_statistics_import_numpy_and_the_standard_library_only() -> None:
    """The mathematics can be read, tested and trusted without the rest."""
    roots = set().union(*(imported_roots(path) for path in (SOURCE / "stats").rglob("*.py")))
    assert roots - set(sys.stdlib_module_names) <= {"numpy", "trimtab"}


@pytest.mark.parametrize("name", modules_below(trimtab.stats))
def test_examples_in_the_statistics_hold(name: str) -> None:
    """Every example in a docstring of the statistics gives what it says."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0
