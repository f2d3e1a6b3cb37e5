"""Bringing a metadata database to the present schema, by alembic and the steps in `migrations`."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from trimtab import errors


def migrate(connection: Connection, current: str | None, path: Path) -> None:
    """Take the steps after revision `current`. Raises `Unavailable` TT-106 when it is unknown."""
    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    if current is not None and current not in known:
        raise errors.Unavailable(
            errors.HOME_TOO_NEW,
            "open",
            path.name,
            f"its schema {current} is newer than this trimtab knows ({known[0]})",
            unchanged="nothing was written",
            hint="pip install --upgrade trimtab",
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
