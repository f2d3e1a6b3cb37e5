"""What the agent does again and again, and no fault of one time ends for good."""

import contextlib
from collections.abc import Iterator

from trimtab.agent.options import AgentEvent, Report


class Unended:
    """Tells of faults, as when files run out, once until the same thing has gone well again."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._missed: set[str] = set()

    @contextlib.contextmanager
    def tried(self, failed: str) -> Iterator[None]:
        """Let nothing but a cancellation out; `failed` says what is not done where it fails."""
        try:
            yield
        except Exception as problem:
            if failed not in self._missed:
                text = f"{failed} just now: {type(problem).__name__}: {problem}"
                self._report(AgentEvent("failed", "agent", text))
            self._missed.add(failed)
        else:
            self._missed.discard(failed)
