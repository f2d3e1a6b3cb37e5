"""How the worker says no: once at start, or per request.

The codes are those of `trimtab.errors`, repeated here because that module is not where this runs.
"""

import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

Stage = Literal["input", "features", "model", "output"]

EXIT_GOLDEN = 10
EXIT_LOAD = 11
EXIT_DIGEST = 12

WRONG_FORMAT = "TT-203"
BAD_REFERENCE = "TT-205"
FEATURES_FAILED = "TT-206"
MODEL_FAILED = "TT-207"
TAMPERED = "TT-208"
WORKER_FAILED = "TT-401"
GOLDEN_FAILED = "TT-402"

STAGE_CODES: dict[Stage, str] = {
    "input": BAD_REFERENCE,
    "features": FEATURES_FAILED,
    "model": MODEL_FAILED,
    "output": MODEL_FAILED,
}

_LONGEST_MESSAGE = 2000


class Refusal(Exception):
    """The worker must not serve this release; it ends with `exit_code` and says why."""

    def __init__(
        self, exit_code: int, code: str, message: str, difference: float | None = None
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.code = code
        self.difference = difference

    def line(self) -> str:
        """The JSON object that is the last line on stderr."""
        return json.dumps(
            {"error": str(self), "code": self.code, "golden_difference": self.difference}
        )


class StageFailure(Exception):
    """One request failed at `stage`; the others are not concerned."""

    def __init__(self, stage: Stage, message: str) -> None:
        super().__init__(message)
        self.stage = stage


class failing_at:  # noqa: N801 - used as a statement, and a generator costs a microsecond each
    """Turn whatever the block raises into a `StageFailure`; the trace goes to stderr only.

    That is more than every `Exception`: code of a release may not end the worker for one request,
    be it by `SystemExit` or because asyncio's `CancelledError` got out.
    """

    __slots__ = ("_stage",)

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, StageFailure):
            return
        traceback.print_exception(error, file=sys.stderr)
        raise StageFailure(self._stage, told(error)) from error


@contextmanager
def refusing(code: str, doing: str, folder: Path | None = None) -> Iterator[None]:
    """Turn whatever the block raises into a `Refusal` to load; the trace goes to stderr only.

    `folder` holds the code of the release, of which the line that failed is told."""
    try:
        yield
    except Refusal:
        raise
    except (Exception, SystemExit) as error:
        traceback.print_exc(file=sys.stderr)
        message = f"{doing}: {told(error)}{place(error, folder)}"
        raise Refusal(EXIT_LOAD, code, message) from error


def told(error: BaseException) -> str:
    """Type and text of an exception, without its trace, of bounded length and as UTF-8 has it."""
    text = _text_of(error)
    message = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if len(message) > _LONGEST_MESSAGE:
        message = message[:_LONGEST_MESSAGE] + " …"
    # A name of a file that is not UTF-8 holds what cannot be written as such.
    return message.encode(errors="backslashreplace").decode()


def place(error: BaseException | None, folder: Path | None) -> str:
    """The last line of the release's own code that an exception came through, in brackets; empty
    where it came through none."""
    if error is None or folder is None:
        return ""
    passed = [
        (Path(frame.filename).relative_to(folder).as_posix(), frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(folder)
    ]
    return " ({}, line {})".format(*passed[-1]) if passed else ""


def _text_of(error: BaseException) -> str:
    """What an exception says of itself; how it does so is code of the release too."""
    try:
        return str(error)
    except BaseException as second:
        return f"its text cannot be had ({type(second).__name__})"
