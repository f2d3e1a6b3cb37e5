"""The tensors of a large body in JSON, a few rows at a time: the same values as all at once."""

from collections.abc import Generator, Iterator, Sequence

import msgspec

from trimtab.gateway import pieces
from trimtab.gateway.faults import Fault, bad
from trimtab.gateway.json_inputs import JSON, is_plain, no_data
from trimtab.gateway.number_arrays import packed_numbers
from trimtab.gateway.oip import InputTensor, not_json
from trimtab.gateway.pieces import Listed, turn
from trimtab.gateway.plan import Plan
from trimtab.gateway.tensors import check_rows, inputs_of, miscounted, shown
from trimtab.gateway.values import Inputs

_encode = msgspec.json.Encoder().encode
_NO_ROWS = Inputs(0, b"", None, None)


def tensor_pieces(tensors: Sequence[InputTensor], plan: Plan, key: str | None) -> Iterator[Inputs]:
    """The rows of a request as a release takes them, none of them in some turns; raises a `Fault`
    (400, 413)."""
    if not tensors:
        raise bad("inputs is empty")
    if is_plain(tensors, plan) and (whole := (yield from _plain(tensors[0], plan))):
        yield whole
        return
    rows = _rows(tensors)
    listed = [_listed(tensor) for tensor in tensors]
    each = [_per_row(tensor, mine, rows) for tensor, mine in zip(tensors, listed, strict=True)]
    try:
        yield from _pieces(tensors, list(zip(listed, each, strict=True)), plan, key)
    except (ValueError, RecursionError) as error:
        why = not_json(error, b"".join(map(bytes, (tensor.data for tensor in tensors))))
        raise bad(f"the values are not JSON: {why}") from None


def _plain(tensor: InputTensor, plan: Plan) -> Generator[Inputs, None, Inputs | None]:
    """A matrix of nothing but numbers, without a look at its text before it is decoded; None where
    it is anything else or its shape says otherwise."""
    rows, width = tensor.shape
    check_rows(rows, plan.most_rows)
    held = bytearray()
    try:
        for numbers in _numbers(bytes(tensor.data)):
            held += numbers
            yield _NO_ROWS
    except (ValueError, RecursionError):
        return None
    fitting = rows > 0 and len(held) == 8 * rows * width
    return Inputs(rows, memoryview(held), None, None) if fitting else None


def _numbers(text: bytes) -> Iterator[bytes]:
    """The numbers of an array as float64, some at a time; raises `ValueError` for any other.

    Cut at commas, an array of anything else has a part that is no list of numbers."""
    if text[:1] != b"[" or b"n" in text:  # one byte of null is sought 70 times as fast
        raise ValueError("not an array of numbers")
    start, end, cut = 1, len(text) - 1, 0
    while cut >= 0:
        cut = text.find(b",", start + pieces.TURN_BYTES, end)
        part = packed_numbers(b"[%b]" % text[start : end if cut < 0 else cut])
        if not part:
            raise ValueError("a comma without a number before or after it")
        yield part
        start = cut + 1


def _pieces(
    tensors: Sequence[InputTensor],
    listed: Sequence[tuple[Listed, int]],
    plan: Plan,
    key: str | None,
) -> Iterator[Inputs]:
    """`listed` has the elements of each tensor, and how many of them a row has."""
    rows = tensors[0].shape[0]
    size = turn(sum(mine.size for mine, _ in listed), rows)
    parts = zip(*(mine.slices(size * each) for mine, each in listed), strict=True)
    for first, values in zip(range(0, rows, size), parts, strict=True):
        yield _piece(tensors, values, range(first, min(first + size, rows)), plan, key)


def _rows(tensors: Sequence[InputTensor]) -> int:
    """The rows of all of them."""
    first = tensors[0]
    for tensor in tensors:
        if not tensor.shape or tensor.shape[0] <= 0:
            raise bad(f"input {tensor.name!r} has shape {shown(tensor.shape)}: no rows")
        if tensor.shape[0] != first.shape[0]:
            raise bad(
                f"input {tensor.name!r} has {tensor.shape[0]} rows, "
                f"{first.name!r} has {first.shape[0]}"
            )
    return first.shape[0]


def _listed(tensor: InputTensor) -> Listed:
    text = bytes(tensor.data)
    if not text:
        raise no_data(tensor)
    if text[:1] != b"[":
        raise bad(f"input {tensor.name!r}: data must be a list")
    return Listed(text)


def _per_row(tensor: InputTensor, listed: Listed, rows: int) -> int:
    """Elements of a row: one that is a value or a list of them, or the values of a flat tensor."""
    if not listed.count or listed.count % rows:
        raise miscounted(tensor, listed.count)
    return listed.count // rows


def _piece(
    tensors: Sequence[InputTensor],
    values: Sequence[list[object]],
    rows: range,
    plan: Plan,
    key: str | None,
) -> Inputs:
    part = [
        msgspec.structs.replace(
            tensor, shape=[len(rows), *tensor.shape[1:]], data=msgspec.Raw(_encode(mine))
        )
        for tensor, mine in zip(tensors, values, strict=True)
    ]
    try:
        return inputs_of(part, JSON, plan, key)
    except Fault as fault:
        if not rows.start:
            raise
        text = f"in rows {rows.start} to {rows.stop - 1}, counted from {rows.start}: {fault.text}"
        raise Fault(fault.status, text) from None
