"""Open files that a forked process knows by the numbers of another."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from trimtab.worker.zygote import renumber

PLACES = st.lists(st.integers(1, 16), min_size=1, max_size=6, unique=True)


def opened() -> set[int]:
    """The numbers of the files that this process has open."""
    with os.scandir("/proc/self/fd") as entries:
        own = {int(entry.name) for entry in entries}
    return {number for number in own if Path(f"/proc/self/fd/{number}").exists()}


@given(st.data(), PLACES)
def test_each_file_gets_its_number_whatever_numbers_the_others_had(
    data: st.DataObject, places: list[int]
) -> None:
    size, free = len(places), max(opened())
    before = data.draw(st.lists(st.integers(1, 16), min_size=size, max_size=size, unique=True))
    for text, place in enumerate(before):
        made = os.memfd_create(str(text))
        os.dup2(made, free + 32 + place)
        os.close(made)
    others, numbers = opened(), [free + 32 + place for place in places]
    renumber([free + 32 + place for place in before], numbers)
    try:
        names = [Path(f"/proc/self/fd/{number}").readlink().name for number in numbers]
        assert names == [f"memfd:{text} (deleted)" for text in range(size)]
        assert not any(os.get_inheritable(number) for number in numbers)
        assert len(opened()) == len(others), "nothing else is left open"
    finally:
        for number in numbers:
            os.close(number)
