"""Listing Parquet files: what counts, and when a folder is looked at again."""

import os
import shutil
from pathlib import Path

import pytest

from trimtab.backends import rolls
from trimtab.backends.rolls import Rolls

CHANGED = 1_700_000_000
DAY = "date=2023-11-14"


def put(folder: Path, *names: str, day: str = DAY) -> None:
    """Files of a day, in a folder that changed at `CHANGED`."""
    (folder / day).mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / day / name).touch()
    os.utime(folder / day, (CHANGED, CHANGED))


def shown(listing: rolls.Listing) -> list[str]:
    return [roll.path.name for roll in listing.rolls]


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the folders that were listed."""
    found: list[str] = []
    names = rolls._names

    def counted(folder: Path) -> tuple[str, ...]:
        found.append(folder.name)
        return names(folder)

    monkeypatch.setattr(rolls, "_names", counted)
    return found


def test_a_file_within_another_of_its_writer_does_not_count(tmp_path: Path) -> None:
    put(tmp_path, "a-0-9.parquet", "a-0-4.parquet", "a-5-9.parquet", "a-10-12.parquet")
    put(tmp_path, "b-3-4.parquet", "notes.parquet", "b-5-6.tmp", "b-1-2.unreadable")
    listing = Rolls().below(tmp_path)
    assert shown(listing) == ["a-0-9.parquet", "a-10-12.parquet", "b-3-4.parquet"]
    assert [roll.path.name for roll in listing.inside] == ["a-0-4.parquet", "a-5-9.parquet"]
    assert [path.name for path in listing.unfinished] == ["b-5-6.tmp"]
    assert [path.name for path in listing.aside] == ["b-1-2.unreadable"]


def test_the_file_of_a_segment_is_found_and_what_was_read_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, "a-0-9.parquet", "a-20-29.parquet", "b-0-4.parquet")
    put(tmp_path, "a-30-39.parquet", day="date=2023-11-15")
    listing = Rolls().below(tmp_path)
    found = {n: listing.covering("a", n) for n in (-1, 0, 9, 10, 20, 39, 40)}
    covered = {n: roll and roll.first for n, roll in found.items()}
    assert covered == {-1: None, 0: 0, 9: 0, 10: None, 20: 20, 39: 30, 40: None}
    assert listing.covering("c", 0) is None
    beyond = [roll.path.name for roll in listing.beyond({"a": 20, "b": 4})]
    assert beyond == ["a-20-29.parquet", "a-30-39.parquet"]


def test_a_folder_is_listed_again_only_when_it_changed(tmp_path: Path, scans: list[str]) -> None:
    put(tmp_path, "a-0-9.parquet")
    put(tmp_path, "a-10-19.parquet", day="date=2023-11-15")
    kept = Rolls(now=lambda: CHANGED + 5.0)
    first = kept.below(tmp_path)
    scans.clear()
    assert kept.below(tmp_path) is first
    assert scans == [tmp_path.name]
    (tmp_path / DAY / "b-0-9.parquet").touch()
    scans.clear()
    assert shown(kept.below(tmp_path)) == ["a-0-9.parquet", "a-10-19.parquet", "b-0-9.parquet"]
    assert set(scans) == {tmp_path.name, DAY}


@pytest.mark.parametrize("now", [CHANGED + 0.9, CHANGED - 0.9])
def test_a_folder_that_changed_just_now_is_listed_again(tmp_path: Path, now: float) -> None:
    """Its next change may carry the same time."""
    put(tmp_path, "a-0-9.parquet")
    kept = Rolls(now=lambda: now)
    kept.below(tmp_path)
    put(tmp_path, "a-10-19.parquet")
    assert shown(kept.below(tmp_path)) == ["a-0-9.parquet", "a-10-19.parquet"]


def test_days_come_and_go(tmp_path: Path) -> None:
    kept = Rolls()
    assert kept.below(tmp_path / "rows").rolls == ()
    put(tmp_path / "rows", "a-0-9.parquet")
    assert shown(kept.below(tmp_path / "rows")) == ["a-0-9.parquet"]
    shutil.rmtree(tmp_path / "rows" / DAY)
    assert kept.below(tmp_path / "rows").rolls == ()


def test_a_day_that_goes_while_it_is_looked_at_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rolls, "_day_names", lambda folder: [DAY])
    assert Rolls().below(tmp_path).rolls == ()


def test_a_listing_that_missed_a_file_being_replaced_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path)
    listings = iter([("a-0-4.parquet",), (), ("a-0-9.parquet",), ("a-0-9.parquet",)])
    monkeypatch.setattr(rolls, "_day_names", lambda folder: [DAY])
    monkeypatch.setattr(rolls, "_names", lambda folder: next(listings))
    assert shown(Rolls().below(tmp_path)) == ["a-0-9.parquet"]
