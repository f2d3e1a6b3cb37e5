"""The calls that wait in one lane of a release: first come, first served, within bounds."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trimtab.gateway.call import Call
from trimtab.gateway.values import Inputs


@dataclass(frozen=True, slots=True)
class Room:
    """What may wait in a lane. A call that is alone in it may be of any size."""

    requests: int
    rows: int
    size: int


class Lane:
    """Calls in the order in which they will be sent, with their rows and bytes.

    A call that is being sent in parts stays at its place until its last part is sent.
    """

    __slots__ = ("_calls", "_room", "name", "requests", "rows", "size")

    def __init__(self, name: str, room: Room) -> None:
        self.name = name
        self.requests = 0
        self.rows = 0
        self.size = 0
        self._room = room
        self._calls: OrderedDict[Call, None] = OrderedDict()

    def __len__(self) -> int:
        return self.requests

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    @property
    def crowded(self) -> bool:
        """Whether not one more request fits."""
        return self.requests >= self._room.requests

    def fits(self, requests: int, rows: int, size: int) -> bool:
        """Whether there is room for so many more beside those that wait."""
        room = self._room
        return (
            self.requests + requests <= room.requests
            and self.rows + rows <= room.rows
            and self.size + size <= room.size
        )

    def add(self, call: Call, *, first: bool = False) -> None:
        """Let a call wait, at the end or ahead of the others."""
        self._calls[call] = None
        if first:
            self._calls.move_to_end(call, last=False)
        call.queue = self
        self.requests += 1
        self.rows += call.rows
        self.size += call.size

    def add_all(self, calls: Sequence[Call], rows: int, size: int) -> None:
        """Let calls wait at the end, which have so many rows and bytes together."""
        waiting = self._calls
        for call in calls:
            waiting[call] = None
            call.cut = None
            call.queue = self
        self.requests += len(calls)
        self.rows += rows
        self.size += size

    def remove(self, call: Call) -> None:
        """The call waits no more."""
        del self._calls[call]
        call.queue = None
        self.requests -= 1
        self.rows -= call.rows if call.cut is None else call.rows - call.cut.sent
        self.size -= call.size

    def remove_all(self, calls: Sequence[Call]) -> None:
        """These whole calls wait no more."""
        for call in calls:
            del self._calls[call]
            call.queue = None
            self.rows -= call.rows
            self.size -= call.size
        self.requests -= len(calls)

    def sent_part(self, rows: int) -> None:
        """Some rows of a call that stays were sent."""
        self.rows -= rows


def held_bytes(inputs: Inputs, texts: tuple[int, ...]) -> int:
    """About how much memory the values of a call hold; `texts` are the positions of texts."""
    size = inputs.held_bytes
    columns = inputs.columns or []
    for position in texts:
        column = columns[position]
        size += len(column[0] or "") if inputs.rows == 1 else sum(map(len, filter(None, column)))
    return size
