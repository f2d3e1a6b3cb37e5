"""Which GPUs may be given to workers, on folders that look like those of devices."""

from pathlib import Path

import pytest

from trimtab.agent.devices import missing


@pytest.mark.parametrize(
    ("files", "name", "why"),
    [
        ((), "0", "this machine has none"),
        ((), "GPU-b", "this machine has none"),
        (("nvidiactl", "nvidia-uvm"), "0", "this machine has none"),
        (("nvidia0", "nvidia1", "nvidiactl"), "1", ""),
        (("nvidia0", "nvidia1", "nvidiactl"), "2", "this machine has 2, counted from 0"),
        (("nvidia3",), "3", "this machine has 1, counted from 0"),
        (("nvidia0",), "GPU-b", ""),
        (("kfd",), "7", ""),
        (("dxg",), "0", ""),
    ],
)
def test_a_gpu_is_missing_where_the_drivers_show_none_of_that_number(
    tmp_path: Path, files: tuple[str, ...], name: str, why: str
) -> None:
    for each in files:
        (tmp_path / each).touch()
    assert missing(name, tmp_path) == why
