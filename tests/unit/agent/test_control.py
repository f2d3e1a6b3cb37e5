"""The agent's control socket as a controller meets it."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from trimtab.agent.control import Changes, Control
from trimtab.backends.node_client import NodeClient


class Nobody:
    """Neither workers nor jobs."""

    status = ()


async def served(changes: Changes, ask: Any) -> None:
    """Let `ask` speak with the agent in the working directory."""
    nobody = cast(Any, Nobody())
    control = Control(nobody, nobody, lambda: (7,), changes)
    await control.listen()
    client = NodeClient(Path())
    try:
        async with asyncio.timeout(10):
            await ask(client)
    finally:
        await client.close()
        await control.close()


def test_what_became_of_a_process_is_told_to_who_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    changes = Changes()

    async def ask(client: NodeClient) -> None:
        await client.changed()
        waiting = asyncio.ensure_future(client.changed())
        assert (await client.status()).gateways == (7,)
        assert not waiting.done()
        changes.tell()
        await waiting

    asyncio.run(served(changes, ask))


def test_what_happened_between_two_questions_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    changes = Changes()

    async def ask(client: NodeClient) -> None:
        await client.changed()
        changes.tell()
        await client.changed()

    asyncio.run(served(changes, ask))


def test_who_waits_does_not_keep_the_agent_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()

    async def ask(client: NodeClient) -> None:
        await client.changed()
        asking.append(asyncio.ensure_future(client.changed()))
        await client.status()

    asking: list[asyncio.Future[None]] = []
    asyncio.run(served(Changes(), ask))
    assert asking[0].done()
