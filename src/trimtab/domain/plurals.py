"""Numbers of things as a person reads them."""


def many(count: int, noun: str) -> str:
    """So many of what `noun` names in the singular: `1 minute`, `2,000 minutes`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
