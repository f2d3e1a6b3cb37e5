"""One connection, one question at a time: each answer belongs to its own."""

import asyncio
import contextlib

from trimtab.demo.connection import Address, Line


def test_the_answer_to_a_call_that_was_cancelled_is_not_that_of_the_next() -> None:
    asked, told = asyncio.Event(), asyncio.Event()
    served: list[asyncio.Future[None]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Each request with its path, once it is let."""
        done = asyncio.get_running_loop().create_future()
        served.append(done)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
                asked.set()
                await told.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))
        writer.close()
        done.set_result(None)

    async def scenario() -> bytes:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
        line = Line(address)
        first = asyncio.create_task(line.call(address.head("GET", "/first"), b"", 5.0))
        await asked.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        told.set()
        reply = await line.call(address.head("GET", "/second"), b"", 5.0)
        line.close()
        await asyncio.gather(*served)
        server.close()
        return reply.body

    assert asyncio.run(scenario()) == b"/second"
