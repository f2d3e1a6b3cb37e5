"""`trimtab check`."""

import os
from pathlib import Path

from trimtab.cli.checking import check
from trimtab.cli.screen import DONE, FAILED, Screen, verb


@verb("check")
def command(screen: Screen) -> None:
    """Check trimtab.toml and the files it names."""
    from trimtab.app.projects import open_project

    project = open_project(Path.cwd(), os.environ)
    view = check(project.folder, project.config)
    screen.show(view)
    raise SystemExit(DONE if view.ok else FAILED)
