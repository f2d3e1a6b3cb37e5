"""What the agent needs of the outside to start a worker; `app` makes it of environments, blobs
and the copy of the worker package."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trimtab.domain.names import Digest


@dataclass(frozen=True, slots=True)
class PreparedRelease:
    """A release that is on this machine, verified: environment and checkout.

    `argv` makes the command line of a worker from its own arguments (`--config …`); `config` is
    the path of `worker.json`; `environment` is the whole environment of the process. Releases of
    the same `zygote` have the same environment, execution profile and `argv`; None starts every
    worker cold. `imports` are the libraries that its zygote imports before it forks. `examine`
    looks closely at the environment of a worker that failed; it blocks. Raises `Integrity`."""

    config: Path
    argv: Callable[[Sequence[str]], Sequence[str]]
    environment: Mapping[str, str]
    zygote: str | None = None
    imports: tuple[str, ...] = ()
    examine: Callable[[], None] | None = None


class Hands(Protocol):
    """Makes releases startable."""

    def prepare(self, release: Digest) -> PreparedRelease:
        """Materialise environment and checkout; blocks, is called in a thread, idempotent.

        Raises `Integrity` TT-208/TT-302, `Permanent` TT-303 and other `TrimtabError`s."""
        ...
