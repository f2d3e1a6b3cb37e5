"""Which predictions are audited: a share of them, chosen by a hash that knows nothing of them."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

SPACE = 2.0**64


def asked(
    deployment: str, request_ids: Sequence[str], rows: Sequence[int], rate: float
) -> NDArray[np.bool_]:
    """Whether each prediction is among the share `rate` of a deployment's that are audited.

    The first 8 bytes of the BLAKE2b hash of deployment, request id and row, as a little-endian
    number, are below `rate` times 2**64. The same prediction is chosen at each rate above one at
    which it is. Ids that a client makes up to be chosen, or not to be, are not by chance.
    """
    limit = int(rate * SPACE)
    pairs = zip(request_ids, rows, strict=True)
    found = [_number(f"{deployment}\0{name}\0{row}") < limit for name, row in pairs]
    return np.array(found, dtype=np.bool_)


def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass")).digest()[:8], "little")
