"""Who gives orders on this machine."""

import getpass
import os
import re

LONGEST = 64
_OTHER = re.compile(r"[^\w.@-]+")


def actor() -> str:
    """The name of the person at the terminal, as the system knows it and a header can carry it.

    What a header cannot carry is a hyphen, as in `CORP-ada`; where nothing else is left of a name,
    it is the number of the user."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
    carried = _OTHER.sub("-", name.encode("latin-1", "replace").decode("latin-1"))[:LONGEST]
    return carried if carried.strip("-") else f"uid-{os.getuid()}"
