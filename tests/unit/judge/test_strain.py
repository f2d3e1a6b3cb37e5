"""What a machine and its workers lack, in words."""

import pytest

from trimtab.domain.processes import HostStatus
from trimtab.judge.strain import lacks, starved

GIB = 2**30


@pytest.mark.parametrize(
    ("host", "told"),
    [
        (HostStatus(4.0, 8 * GIB, 4 * GIB), {}),
        (HostStatus(4.0, 8 * GIB, 4 * GIB, waiting={"cpu": 0.5, "io": 0.1}), {}),
        (HostStatus(4.0, 8 * GIB, 4 * GIB, waiting={"cpu": 0.7}), {"cpu": "a processor 70%"}),
        (HostStatus(4.0, 8 * GIB, 4 * GIB, waiting={"memory": 0.2}), {"memory": "memory 20%"}),
        (HostStatus(4.0, 8 * GIB, 4 * GIB, waiting={"irq": 1.0}), {}),
        (HostStatus(2.0, 8 * GIB, 4 * GIB, load=5.0), {"cpu": "5.0 processes"}),
        (HostStatus(2.0, 8 * GIB, 4 * GIB, waiting={"cpu": 0.1}, load=5.0), {}),
        (HostStatus(2.0, 8 * GIB, GIB // 10), {"memory": "of the machine's memory was free"}),
    ],
)
def test_a_machine_lacks_what_work_waits_for(host: HostStatus, told: dict[str, str]) -> None:
    found = lacks(host)
    assert found.keys() == told.keys()
    assert all(words in found[kind] for kind, words in told.items())


def test_workers_that_wait_as_long_as_they_work_are_starved() -> None:
    assert "50%" in starved(30.0, 30.0)[0]
    assert starved(3.0, 30.0) == ()
    assert starved(0.5, 0.1) == ()
