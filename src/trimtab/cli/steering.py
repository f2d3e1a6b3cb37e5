"""Control characters, by which a text could steer the terminal that it is written to."""

_STEERING = dict.fromkeys(
    code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"
)


def unsteered(text: str) -> str:
    """The text without them; it keeps its lines."""
    return text.translate(_STEERING)
