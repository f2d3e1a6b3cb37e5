"""The code in the pages that users read."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str, section: str, language: str) -> list[str]:
    """The fenced code of one language in the sections of `page` whose heading has these words."""
    parts = _HEADING.split((ROOT / page).read_text(encoding="utf-8"))
    sections = zip(parts[1::2], parts[2::2], strict=True)
    body = "\n".join(text for title, text in sections if section in title)
    return [code for name, code in _FENCE.findall(body) if name == language]


def commands(page: str, section: str = "") -> Iterator[str]:
    """The lines of a section's commands one by one, without comments."""
    for block in blocks(page, section, "sh"):
        for line in re.sub(r"\s+#.*$", "", block, flags=re.MULTILINE).split("\n"):
            yield from (command.strip() for command in line.split(" && ") if command.strip())
