"""Names and references: what may be called what, and how a release is written."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable
from typing import NewType

import msgspec

from trimtab import errors

Digest = NewType("Digest", str)
"""`sha256:` followed by 64 lower-case hexadecimal digits."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_NUMBER = re.compile(r"0{0,9}[1-9][0-9]{0,8}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HEX = re.compile(r"[0-9a-f]{6,64}")


def checked_name(name: str, kind: str) -> str:
    """Return `name` when it is a legal name of a model or deployment, else raise `Usage`."""
    if _NAME.fullmatch(name):
        return name
    raise errors.Usage(
        errors.BAD_NAME,
        f"name a {kind}",
        repr(name),
        "names start with a letter or digit and hold at most 64 of a-z 0-9 . _ -",
        hint=f"try {re.sub(r'[^a-z0-9._-]+', '-', name.lower()).strip('-._')[:64] or 'my-model'!r}",
    )


def checked_digest(text: str) -> Digest:
    """`text` when it is a digest, else raise `Usage`."""
    if _DIGEST.fullmatch(text):
        return Digest(text)
    raise errors.Usage(
        errors.BAD_VALUE,
        "read digest",
        repr(text[:80]),
        "a digest is sha256: and 64 digits from 0 to f",
        unchanged="nothing was changed",
        hint="trimtab releases",
    )


class ReleaseRef(msgspec.Struct, frozen=True):
    """A release as a person writes it: `model@7`, or a unique digest prefix."""

    model: str | None = None
    number: int | None = None
    digest_prefix: str | None = None

    @classmethod
    def parse(cls, text: str) -> "ReleaseRef":
        """Read `model@7`, `sha256:ab12…` or `ab12…`; anything else is a `Usage` error."""
        model, at, number = text.partition("@")
        if at and _NUMBER.fullmatch(number):
            return cls(model=checked_name(model, "model"), number=int(number))
        prefix = text.removeprefix("sha256:")
        if _HEX.fullmatch(prefix):
            return cls(digest_prefix=f"sha256:{prefix}")
        raise errors.Usage(
            errors.NO_SUCH_RELEASE,
            "read",
            repr(text),
            "a release is written model@number or as at least 6 digits of its digest",
            unchanged="nothing was changed",
            hint="trimtab releases",
        )


def names_of(given: str | Iterable[str] | None) -> tuple[str, ...]:
    """One name, or several, as somebody gives them: a text is one name, not its letters."""
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(given)


def repeated(names: Iterable[str]) -> list[str]:
    """The names that come more than once, in their order."""
    return [name for name, times in Counter(names).items() if times > 1]


def meant(typed: str, known: Iterable[str], what: str) -> str:
    """The hint for a name that is not known: the nearest of those that are, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(typed, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known {what}: {', '.join(names)}"


def short(digest: str) -> str:
    """The first 12 hexadecimal digits, as shown to people and used in file names."""
    return digest.removeprefix("sha256:")[:12]
