"""Writing what the gateways log: a spool that survives a kill, and segments that readers see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

ValueKind = Literal["number", "text", "vector"]
"""How a value is logged: float64, string, or list of float64."""


@dataclass(frozen=True, slots=True)
class LogSchema:
    """Which input and output columns the rows of one release in one deployment have."""

    deployment: str
    release: str
    inputs: tuple[tuple[str, ValueKind], ...]
    outputs: tuple[tuple[str, ValueKind], ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one schema as equally long lists; `fixed` in the order of `FIXED_COLUMNS`.

    A missing value is None, a vector a list of numbers.
    """

    schema: LogSchema
    fixed: Sequence[list[Any]]
    inputs: Sequence[list[Any]]
    outputs: Sequence[list[Any]]

    def __len__(self) -> int:
        return len(self.fixed[0])


@dataclass(frozen=True, slots=True)
class LabelBlock:
    """Labels of one deployment as equally long lists in the order of `LABEL_COLUMNS`."""

    deployment: str
    columns: Sequence[list[Any]]

    def __len__(self) -> int:
        return len(self.columns[0])


@dataclass(frozen=True, slots=True)
class Sealed:
    """A finished spool: its file, and the first sequence reserved in each folder of segments."""

    path: str
    descriptor: int
    first: Mapping[str, int]


class LogSink(Protocol):
    """The log of one writer. `spool*` and `seal` belong to the event loop and return quickly;
    `sync` and `publish` block and belong to one thread, in the order of the calls."""

    def spool(self, blocks: Sequence[Block]) -> None:
        """Append rows to the spool; raises `OSError` with the spool as it was."""
        ...

    def spool_labels(self, block: LabelBlock) -> int:
        """Append labels to the spool; returns the descriptor to `sync`. Raises `OSError`."""
        ...

    def sync(self, descriptor: int) -> None:
        """Make everything spooled so far durable. Raises `OSError`."""
        ...

    def seal(self, blocks: Sequence[Block], labels: Sequence[LabelBlock]) -> Sealed:
        """Close the spool that holds exactly these rows and start the next one."""
        ...

    def publish(
        self, sealed: Sealed, blocks: Sequence[Block], labels: Sequence[LabelBlock]
    ) -> None:
        """Make a sealed spool visible as segments, then remove it. Repeatable on `OSError`."""
        ...

    def close(self) -> None:
        """Release the spool; an empty one is removed."""
        ...
