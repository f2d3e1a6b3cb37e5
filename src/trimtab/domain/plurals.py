"""Numbers of things, and their names, as a person reads them."""

from collections.abc import Iterable


def many(count: int, noun: str) -> str:
    """So many of what `noun` names in the singular: `1 minute`, `2,000 minutes`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def some(names: Iterable[str], most: int = 8) -> str:
    """The first of many names, for a message: `'a', 'b' and 3 more`; empty where there are none."""
    shown = [repr(name) for name in names]
    rest = f" and {len(shown) - most:,} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + rest
