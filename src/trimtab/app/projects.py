"""Finding the project that a command is given in."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from trimtab import errors
from trimtab.backends.home import DEFAULT_HOME, Project, open_project
from trimtab.domain.deployment import ProjectConfig

__all__ = ["Project", "open_project", "project_at", "project_or_folder"]


def project_or_folder(folder: Path, environment: Mapping[str, str]) -> Project:
    """The project of `folder`; without one, the folder itself with everything at its default."""
    try:
        return open_project(folder, environment)
    except errors.Usage as problem:
        if problem.code != errors.NO_PROJECT:
            raise
    home = Path(environment.get("TRIMTAB_HOME") or folder / DEFAULT_HOME).absolute()
    return Project(folder, home, ProjectConfig())


def project_at(folder: Path, home: Path) -> Project:
    """The project of `folder`, with the state folder that the agent uses."""
    return replace(open_project(folder, os.environ), home=home)
