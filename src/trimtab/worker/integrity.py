"""Whether the files of a checkout are the ones of the release."""

import hashlib

from .config import TreeEntry, WorkerConfig
from .failures import EXIT_DIGEST, TAMPERED, Refusal


def verify_tree(config: WorkerConfig) -> None:
    """Compare every file of the release with its digest. Raises `Refusal` (exit code 12)."""
    wrong = [problem for entry in config.tree if (problem := _problem(config, entry))]
    if wrong:
        raise Refusal(EXIT_DIGEST, TAMPERED, f"{config.name} was changed: {'; '.join(wrong)}")


def _problem(config: WorkerConfig, entry: TreeEntry) -> str | None:
    path = config.folder / entry.path
    try:
        if path.stat().st_size != entry.size:
            return f"{entry.path} has {path.stat().st_size} bytes, not {entry.size}"
        with path.open("rb") as file:
            found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        return f"{entry.path} cannot be read ({error.strerror})"
    return None if found == entry.digest else f"{entry.path} has the digest {found}"
