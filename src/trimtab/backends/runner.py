"""Running the worker's one-off modes as subprocesses in a release's environment."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from trimtab import errors
from trimtab.backends import shim

_LAST_LINES = 20
_UNCHANGED = "no release was made"
_HINTS = {
    errors.WRONG_FORMAT: "say what the file is: --format, or format in trimtab.toml",
    errors.FEATURES_FAILED: "call the feature code on a few rows of the reference, in an "
    "environment of the same --requirements",
    errors.MODEL_FAILED: "the model is loaded in an environment of its own: see that --model, "
    "--format and --requirements belong together",
}
_OWN_CLASSES = (
    "a class of your own belongs into a module of its own, and with the release goes what the "
    "feature code imports: --features module:function; a package belongs into --requirements"
)
_OTHER_COLUMNS = (
    "the model is given the inputs of the reference in their order: write the reference as the "
    "model was fitted, or let --features module:function choose and order the columns"
)
_NO_FILE = (
    "a release holds the model's file and the modules that its code imports, and no other file of "
    "the project: keep in such a module what the code reads, or in a format that is one file"
)
_ASKED = (
    "call the model on a few rows of the reference, in an environment of the same --requirements"
)
_RETURNED = (
    "predict is given all rows of a request and returns one value or array for each, or a dict or "
    "frame of such; with --set allow_nan=true numbers may be missing"
)
_NO_WORD = "if it was killed, see whether memory ran out: dmesg | tail"


class SubprocessRunner:
    """Starts the worker in another interpreter and waits for it.

    What the worker writes to stderr goes to `log` as well, when there is one, and what the step of
    a pipeline prints.
    """

    def __init__(self, home: Path, log: IO[str] | None = None) -> None:
        self._shim = shim.install(home)
        self._log = log

    def run(self, python: Path, arguments: Sequence[str], execution: Mapping[str, str]) -> str:
        """Standard output of the worker. Raises `Permanent`, or `Usage` TT-203, in its words."""
        with _lifeline() as lifeline:
            asked = [*arguments, "--parent-fd", str(lifeline)]
            done = subprocess.run(
                shim.worker_argv(python, self._shim, asked),
                env=shim.worker_environment(execution),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
                pass_fds=(lifeline,),
            )
        if self._log is not None:
            self._log.write(done.stdout if arguments[0] == "step" else "")
            self._log.write(done.stderr)
            self._log.flush()
        if done.returncode == 0 or arguments[0] == "step":
            return done.stdout
        raise _refusal(arguments[0], done.returncode, done.stderr)


@contextmanager
def _lifeline() -> Iterator[int]:
    """The end of a pipe whose other end only this process has, by which the worker knows that it
    lives: a step may take hours, and nobody would use what it makes."""
    theirs, ours = os.pipe()
    try:
        yield theirs
    finally:
        os.close(ours)
        os.close(theirs)


def _refusal(mode: str, exit_code: int, stderr: str) -> errors.TrimtabError:
    """The worker's last line says why; a worker that was killed has said nothing."""
    lines = stderr.strip().splitlines()
    try:
        said = json.loads(lines[-1])
        code, text = said["code"], said["error"]
    except (IndexError, ValueError, KeyError, TypeError):
        tail = "\n".join(lines[-_LAST_LINES:]) or "it said nothing"
        code, text = errors.WORKER_FAILED, f"the worker ended with code {exit_code}: {tail}"
    family = errors.Usage if code == errors.WRONG_FORMAT else errors.Permanent
    return family(code, mode, "release", text, _UNCHANGED, _hint(code, text))


def _hint(code: str, text: str) -> str:
    if code == errors.MODEL_FAILED and ("__main__" in text or "No module named" in text):
        return _OWN_CLASSES
    if "feature names should match" in text:
        return _OTHER_COLUMNS
    if "FileNotFoundError" in text:
        return _NO_FILE
    if code == errors.MODEL_FAILED and text.startswith(("at model", "at output")):
        return _ASKED if text.startswith("at model") else _RETURNED
    return _HINTS.get(code, _NO_WORD)
