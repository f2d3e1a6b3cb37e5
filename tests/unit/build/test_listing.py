"""The command that a missing file's hint gives."""

import shlex
from pathlib import Path

from trimtab.build.listing import listing


def test_the_nearest_folder_that_exists_is_listed(tmp_path: Path) -> None:
    (tmp_path / "my data").mkdir()
    hint = listing(tmp_path / "my data" / "febr" / "*.parquet")
    assert shlex.split(hint) == ["ls", str(tmp_path / "my data")]


def test_a_bare_name_is_looked_for_where_one_is() -> None:
    assert listing(Path("none.skops")) == "ls ."
