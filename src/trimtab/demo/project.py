"""The demonstration's project folder: the shipped example, its history, and a broken copy."""

import shutil
from importlib.resources import as_file, files
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from trimtab import errors
from trimtab.demo.options import START
from trimtab.demo.world import history
from trimtab.examples.flights.data import load_flights

_FILES = ("flights.csv.zip", "weather.csv", "planes.csv", "airports.csv")


def read_flights(data: Path) -> pa.Table:
    """Every flight of the year. Raises `NotFound` TT-902 when a file is not there."""
    for name in _FILES:
        if not (data / name).is_file():
            raise errors.NotFound(
                errors.DEMO_DATA,
                "read the flights",
                str(data / name),
                "the file is not there; TRIMTAB_FLIGHTS_DATA names the folder of such files",
                unchanged="nothing was started",
                hint="scripts/demo",
            )
    return load_flights(data)


def make_project(folder: Path, flights: pa.Table) -> None:
    """Copy the example and write what is known on the first day as `history.parquet`.

    Raises `Refused` TT-111 when the folder is not empty."""
    if folder.exists() and any(folder.iterdir()):
        raise errors.Refused(
            errors.PROJECT_EXISTS,
            "make the demo's project",
            str(folder),
            "the folder is not empty",
            unchanged="nothing was written",
            hint="give another folder, or none",
        )
    _copy("project", folder)
    parquet.write_table(history(flights, START), folder / "history.parquet")


def make_broken_copy(folder: Path, project: Path) -> Path:
    """A copy of `project` at `folder` whose features module is the bad one."""
    names = ("features.py", "pipeline.py", "requirements.txt", "trimtab.toml", "history.parquet")
    folder.mkdir(parents=True)
    for name in names:
        shutil.copyfile(project / name, folder / name)
    _copy("bad", folder)
    return folder


def _copy(name: str, folder: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
    with as_file(files("trimtab.examples.flights") / name) as source:
        shutil.copytree(source, folder, ignore=ignored, dirs_exist_ok=True)
