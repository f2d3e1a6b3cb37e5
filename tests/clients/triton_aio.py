"""Use a trimtab server by `tritonclient.http.aio`: `triton_aio.py URL`."""

import asyncio
import sys

import pytest
import tritonclient.http.aio as triton
from tests.clients.people import DEPLOYMENT, expected
from tests.clients.triton_http import check, inputs
from tritonclient.utils import InferenceServerException


async def main(url: str) -> None:
    """Fails by an exception."""
    wanted = expected(url)
    async with triton.InferenceServerClient(url.removeprefix("http://")) as client:
        assert await client.is_server_ready()
        assert await client.is_model_ready(DEPLOYMENT)
        many = [client.infer(DEPLOYMENT, inputs(binary=True)) for _ in range(20)]
        for answer in await asyncio.gather(*many):
            check(answer, wanted)
        for compression in ("gzip", "deflate"):
            answer = await client.infer(
                DEPLOYMENT,
                inputs(binary=True),
                request_compression_algorithm=compression,
                response_compression_algorithm=compression,
            )
            check(answer, wanted)
        with pytest.raises(InferenceServerException, match="no deployment 'nobody'"):
            await client.infer("nobody", inputs(binary=True))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
