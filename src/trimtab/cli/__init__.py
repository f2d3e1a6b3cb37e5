"""The command line: one file per verb.

Belongs here: arguments, exit codes, tables, progress and hints. Data goes to stdout and narration
to stderr; `--json` prints the same view as the screen.

Does not belong here: logic. A verb asks `app` or the admin API and renders what comes back.
"""

from trimtab.cli.group import main

__all__ = ["main"]
