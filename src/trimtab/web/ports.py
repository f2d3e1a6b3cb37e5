"""What the admin listener needs of the rest: somebody who looks, and somebody who acts."""

from typing import Protocol

from trimtab.domain.names import Digest, ReleaseRef
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Comparison
from trimtab.domain.release import Release
from trimtab.domain.telling import Telling
from trimtab.judge.draft import Author
from trimtab.ports.journal import Past
from trimtab.views.seen import Seen


class AdminSource(Protocol):
    """Looks. Calls are quick (memory and the local database) and raise only `TrimtabError`."""

    def seen(self) -> Seen:
        """The system as it is now."""
        ...

    @property
    def past(self) -> Past:
        """What was recorded."""
        ...

    def find(self, ref: ReleaseRef) -> Release:
        """The release meant by `ref`. Raises `NotFound` TT-201 or `Usage` TT-202."""
        ...

    def profile(self, release: Release) -> ReferenceProfile | None:
        """Its reference profile, None when it has none."""
        ...


class Control(Protocol):
    """Acts: records an order and returns once it is durable. Ordering what is already so is fine.

    `release` and `to` are references as people write them. Raises the families of `errors`.
    """

    async def register(self, digest: Digest, author: Author) -> Release:
        """Give a built release, whose manifest is among the blobs, its number."""
        ...

    async def deploy(
        self, name: str, release: str, author: Author, strategy: str | None = None
    ) -> object:
        """Begin a rollout; without `strategy` by that of the deployment."""
        ...

    async def promote(
        self, name: str, author: Author, *, full: bool = False, override: bool = False
    ) -> object:
        """Go to the next step, or with `full` to bake; `override` goes without evidence."""
        ...

    async def pause(self, name: str, author: Author) -> object:
        """Stop advancing."""
        ...

    async def resume(self, name: str, author: Author) -> object:
        """Allow advancing again."""
        ...

    async def abort(self, name: str, author: Author) -> object:
        """Give the rollout up."""
        ...

    async def rollback(self, name: str, author: Author, to: str | None = None) -> object:
        """Go back, to a proven release when `to` names one."""
        ...

    async def retrain(self, name: str, author: Author) -> object:
        """Queue a pipeline run."""
        ...

    async def compare(self, name: str, telling: Telling) -> Comparison:
        """Compare values of training with what was served, and keep the pairs."""
        ...
