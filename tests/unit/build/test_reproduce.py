"""What can be said of a release that nothing was stored of to compare with."""

from pathlib import Path
from typing import Any, cast

import msgspec
from tests.support.scenes import release

from trimtab.build.reproduce import reproduce
from trimtab.build.request import Tools


class Machine:
    """Plays the ports that a reproduction needs: an environment, and no worker to ask."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.environments = self
        self.told: list[str] = []

    def rebuild(self, lock: Any, folder: Path) -> Path:
        return folder / "bin/python"

    def narrate(self, line: str) -> None:
        self.told.append(line)


def test_a_release_without_a_golden_set_is_rebuilt_but_not_called_reproduced(
    tmp_path: Path,
) -> None:
    made = release(1)
    golden = msgspec.structs.replace(made.manifest.golden, rows=0)
    made = msgspec.structs.replace(
        made, manifest=msgspec.structs.replace(made.manifest, golden=golden)
    )
    found = reproduce(made, tmp_path, cast(Tools, Machine(tmp_path)))
    assert (found.environment, found.behaviour, found.ok) == ("identical", "not_run", False)
    assert found.problems == (
        "it was built without reference data, so there are no answers to compare with",
    )
