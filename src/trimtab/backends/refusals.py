"""Errors that every adapter of a port raises in the same words."""

from trimtab import errors
from trimtab.domain.names import ReleaseRef
from trimtab.domain.release import Release


def stale(operation: str, subject: str, epoch: int, newest: int) -> errors.Conflict:
    """The error of a leader that was replaced."""
    return errors.Conflict(
        errors.STALE_EPOCH,
        operation,
        subject,
        f"epoch {epoch} was replaced by {newest}",
        unchanged="nothing was written",
        hint="another controller leads; stop this one",
    )


def broken(seq: int) -> errors.Integrity:
    """The error of a journal whose entry `seq` is not what was recorded."""
    return errors.Integrity(
        errors.JOURNAL_BROKEN,
        "verify",
        "journal",
        f"entry {seq} does not match the hash chain",
        unchanged="nothing was written",
        hint="restore control.db from a backup; what serves goes on meanwhile",
    )


def only(found: tuple[Release, ...], ref: ReleaseRef) -> Release:
    """The one release found. Raises `NotFound` TT-201 or `Usage` TT-202."""
    named = ref.digest_prefix or f"{ref.model}@{ref.number}"
    if not found:
        raise errors.NotFound(
            errors.NO_SUCH_RELEASE,
            "find",
            named,
            "no release has that name",
            unchanged="nothing was changed",
            hint="trimtab releases",
        )
    if len(found) > 1:
        names = ", ".join(release.name for release in found)
        raise errors.Usage(
            errors.AMBIGUOUS_DIGEST,
            "find",
            named,
            f"it may be any of {names}",
            unchanged="nothing was changed",
            hint="give more digits, or model@number",
        )
    return found[0]
