"""The tensors of a large body in JSON, a few rows at a time: the same values as all at once."""

from collections.abc import Iterator, Sequence

import msgspec

from trimtab.gateway.faults import Fault, bad
from trimtab.gateway.json_inputs import JSON, is_plain, no_data, packed_numbers
from trimtab.gateway.oip import InputTensor, not_json
from trimtab.gateway.pieces import Listed, turn
from trimtab.gateway.plan import Plan
from trimtab.gateway.tensors import inputs_of, miscounted, shown
from trimtab.gateway.values import Inputs

_encode = msgspec.json.Encoder().encode


def tensor_pieces(tensors: Sequence[InputTensor], plan: Plan, key: str | None) -> Iterator[Inputs]:
    """The rows of a request as a release takes them; raises a `Fault` (400, 413)."""
    if not tensors:
        raise bad("inputs is empty")
    rows = _rows(tensors)
    listed = [_listed(tensor) for tensor in tensors]
    each = [_per_row(tensor, mine, rows) for tensor, mine in zip(tensors, listed, strict=True)]
    try:
        if is_plain(tensors, plan) and listed[0].numeric and each[0] == tensors[0].shape[1]:
            yield from _plain_pieces(listed[0], each[0])
        else:
            yield from _pieces(tensors, list(zip(listed, each, strict=True)), plan, key)
    except (ValueError, RecursionError) as error:
        why = not_json(error, b"".join(map(bytes, (tensor.data for tensor in tensors))))
        raise bad(f"the values are not JSON: {why}") from None


def _plain_pieces(listed: Listed, width: int) -> Iterator[Inputs]:
    held = bytearray()
    for text in listed.texts():
        held += packed_numbers(text)
        rows = len(held) // (8 * width)
        if rows:
            yield Inputs(rows, bytes(held[: 8 * width * rows]), None, None)
            del held[: 8 * width * rows]


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
