"""The set of workers while the agent ends."""

import asyncio
from pathlib import Path

from trimtab import errors
from trimtab.agent.hands import PreparedRelease
from trimtab.agent.options import Patience, silent
from trimtab.agent.process import Nursery
from trimtab.agent.workforce import Workforce
from trimtab.domain.names import Digest
from trimtab.domain.processes import WantedWorkers, WorkerSlot

SLOT = WorkerSlot(Digest("sha256:aaaaaaaaaaaabb"), 0)


class Empty:
    """Hands that hold no release."""

    def prepare(self, release: Digest) -> PreparedRelease:
        raise errors.Integrity(errors.MISSING_BLOB, "read blob", release, "it is not there")


def test_a_controller_that_goes_on_asking_does_not_keep_a_draining_agent_from_its_end(
    tmp_path: Path,
) -> None:
    """The controller ends after the workers, and sees them go: it asks for them once more."""
    wanted = WantedWorkers(epoch=1, slots=(SLOT,))

    async def drain(nursery: Nursery) -> None:
        workforce = Workforce(Empty(), nursery, Patience(), silent)
        workforce.apply(wanted)
        stopping = asyncio.ensure_future(workforce.stop())
        await asyncio.sleep(0)
        workforce.apply(wanted)
        async with asyncio.timeout(5):
            await stopping
        assert workforce.status == ()

    nursery = Nursery(tmp_path)
    try:
        asyncio.run(drain(nursery))
    finally:
        nursery.close()
