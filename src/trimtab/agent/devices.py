"""Which GPUs there are, by the files that drivers make for them: looked at before one is given."""

import re
from pathlib import Path

_NVIDIA = re.compile(r"nvidia\d+")
_UNCOUNTED = ("kfd", "dxg")
"""Files of drivers that do not tell how many devices there are: AMD's, and Windows' for WSL."""


def missing(name: str, folder: Path = Path("/dev")) -> str:
    """Why there is no GPU of that name; empty where there is one, or nobody can tell.

    Where the driver counts its devices, numbers go up to theirs. A UUID is left to the driver."""
    count = sum(1 for each in folder.iterdir() if _NVIDIA.fullmatch(each.name))
    if count:
        beyond = name.isdecimal() and int(name) >= count
        return f"this machine has {count}, counted from 0" if beyond else ""
    if any((folder / each).exists() for each in _UNCOUNTED):
        return ""
    return "this machine has none"
