"""Which release a request goes to: a hash of its unit, the same in every gateway."""

from hashlib import blake2b

from trimtab.domain.routing import TOTAL_WEIGHT


def unit_hash(rollout: str | None, unit: str) -> int:
    """The 64-bit number of a unit in a rollout (docs/wire.md, last paragraph)."""
    text = f"{rollout or ''}\0{unit}".encode()
    return int.from_bytes(blake2b(text).digest()[:8], "little")


def goes_to_canary(unit: int, weight: int) -> bool:
    """Whether a unit is among the canary's `weight` parts per 10,000."""
    return unit % TOTAL_WEIGHT < weight


def goes_to_shadow(unit: int, ratio: float) -> bool:
    """Whether a unit is among the `ratio` of requests copied to a shadow.

    Other bits of the hash decide than for the canary, so the two choices are independent.
    """
    return (unit >> 32) % TOTAL_WEIGHT < ratio * TOTAL_WEIGHT
