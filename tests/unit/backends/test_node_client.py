"""The client of the node agent when the agent is not well."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from trimtab import errors
from trimtab.backends.node_client import NodeClient
from trimtab.domain.processes import NodeStatus

GOOD = b'{"status":{"workers":[],"gateways":[7]}}\n'
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


def talk(home: Path, answer: Talk, ask: Callable[[NodeClient], Awaitable[None]]) -> None:
    """Let `ask` speak with a server that speaks as `answer`."""

    async def both() -> None:
        me = asyncio.current_task()
        (home / "run").mkdir()
        path = str(home / "run/agent.sock")
        async with await asyncio.start_unix_server(answer, path=path), asyncio.timeout(10):
            client = NodeClient(home, timeout=0.2)
            try:
                await ask(client)
            finally:
                await client.close()
                await asyncio.gather(*(t for t in asyncio.all_tasks() if t is not me))

    asyncio.run(both())


def test_a_connection_that_broke_is_made_again(tmp_path: Path) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(GOOD)
        writer.close()
        await writer.wait_closed()

    async def ask(client: NodeClient) -> None:
        for _ in range(3):
            assert await client.status() == NodeStatus((), gateways=(7,))

    talk(tmp_path, once, ask)


@pytest.mark.parametrize("said", [b"nonsense\n", b"{}\n", b""])
def test_an_agent_that_talks_nonsense_or_nothing_is_gone(tmp_path: Path, said: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(said)
        await reader.read()
        writer.close()
        await writer.wait_closed()

    async def ask(client: NodeClient) -> None:
        with pytest.raises(errors.Unavailable) as caught:
            await client.status()
        assert caught.value.code == errors.AGENT_GONE

    talk(tmp_path, speak, ask)


def test_without_an_agent_the_error_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable) as caught:
        asyncio.run(NodeClient(tmp_path).status())
    assert caught.value.hint == "trimtab up"


def test_a_change_is_waited_for_without_an_end_and_beside_other_questions(tmp_path: Path) -> None:
    seen: list[str] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            asked = json.loads(line)
            if asked["do"] == "changed":
                seen.append(asked["seen"])
                await asyncio.sleep(0.3)
            writer.write(GOOD[:-2] + b',"seen":"7.1"}\n')
        writer.close()
        await writer.wait_closed()

    async def ask(client: NodeClient) -> None:
        change = asyncio.ensure_future(client.changed())
        assert await client.status() == NodeStatus((), gateways=(7,))
        assert not change.done()
        await change
        await client.changed()

    talk(tmp_path, speak, ask)
    assert seen == ["", "7.1"]
