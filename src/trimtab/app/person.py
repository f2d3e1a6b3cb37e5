"""Who gives orders on this machine."""

import getpass


def actor() -> str:
    """The name of the person at the terminal, as the system knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
