"""Every error a user can meet: one shape, one registry of codes, one family per reaction.

The *family* (class) tells the loop what to do, the *code* tells a machine which case it is, the
four texts tell a person what failed, why, what stayed unchanged and what to paste next.
Nothing here imports any other part of trimtab.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One entry of the registry: a stable code and the sentence its docs section starts with."""

    code: str
    title: str


_REGISTRY: dict[str, ErrorCode] = {}


def declare(code: str, title: str) -> str:
    """Register `code` once and return it; a second declaration is a programming error."""
    if code in _REGISTRY:
        raise ValueError(f"error code {code} is declared twice")
    _REGISTRY[code] = ErrorCode(code, title)
    return code


def registry() -> tuple[ErrorCode, ...]:
    """All declared codes in order, for the generated reference page."""
    return tuple(_REGISTRY[code] for code in sorted(_REGISTRY))


@dataclass(frozen=True, slots=True)
class Report:
    """What the `error` shape of `--json` and `/api` carries."""

    code: str
    operation: str
    subject: str
    message: str
    causes: tuple[str, ...]
    unchanged: str
    hint: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Advice:
    """The two sentences that make an error bearable: what is still as it was, and what to do."""

    unchanged: str = ""
    hint: str = ""


@dataclass(eq=False)
class TrimtabError(Exception):
    """Base of every expected failure. Use a family below, never this class itself.

    `operation` is the verb ("build"), `subject` the thing ("flight-delay@2"), `message` why it
    failed, `unchanged` what stayed as it was, `hint` one command or edit to try.
    """

    code: str
    operation: str
    subject: str
    message: str
    unchanged: str = ""
    hint: str = ""
    retryable: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if self.code not in _REGISTRY:
            raise ValueError(f"error code {self.code} is not declared in trimtab.errors")
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.operation} {self.subject}: {self.message}"

    def causes(self) -> Iterator[str]:
        """The chain of causes, nearest first, each as one line."""
        cause = self.__cause__
        while cause is not None:
            yield str(cause) or type(cause).__name__
            cause = cause.__cause__

    def report(self) -> Report:
        """The error as data, for `--json` and the admin API."""
        return Report(
            self.code,
            self.operation,
            self.subject,
            self.message,
            tuple(self.causes()),
            self.unchanged,
            self.hint,
            self.retryable,
        )


class Usage(TrimtabError):
    """The request itself is wrong: bad flag, bad config, bad input (exit code 2, HTTP 400)."""


class NotFound(TrimtabError):
    """The named thing does not exist (exit code 1, HTTP 404)."""


class Refused(TrimtabError):
    """Policy or an invariant says no (exit code 1, HTTP 409)."""


class Conflict(TrimtabError):
    """Somebody else moved first (exit code 1, HTTP 409)."""


class Integrity(TrimtabError):
    """A digest, hash chain or lock does not match (exit code 1, HTTP 422)."""


class Permanent(TrimtabError):
    """It failed and trying again would fail the same way (exit code 1, HTTP 500)."""


class Unavailable(TrimtabError):
    """Cannot start, or cannot reach the server (exit code 3, HTTP 503)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.retryable = True


class TimedOut(TrimtabError):
    """The wait ended before the thing happened (exit code 4, HTTP 504)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.retryable = True


# 1xx: configuration, settings, command line
UNKNOWN_KEY = declare("TT-101", "An unknown key in trimtab.toml")
BAD_VALUE = declare("TT-102", "A value in the configuration has the wrong form")
NO_PROJECT = declare("TT-103", "No trimtab.toml in this folder or above it")
BAD_NAME = declare("TT-104", "A name does not match the naming rule")
HOME_NOT_WRITABLE = declare("TT-105", "The state folder cannot be written")
HOME_TOO_NEW = declare("TT-106", "The state folder was written by a newer trimtab")
HOME_IN_USE = declare("TT-107", "Another trimtab is running on this state folder")
PORT_IN_USE = declare("TT-108", "A listening port is taken")
NOT_RUNNING = declare("TT-109", "No trimtab server answers")
UNSAFE_BIND = declare("TT-110", "The admin listener may only bind to loopback")
PROJECT_EXISTS = declare("TT-111", "The project folder already has a trimtab.toml")
FOREIGN_REQUEST = declare("TT-112", "The admin listener does not take requests from there")
BAD_REQUEST = declare("TT-113", "A request to the admin API has the wrong form")
UNEXPECTED = declare("TT-114", "A fault inside trimtab")
NEEDS_CONFIRMATION = declare("TT-115", "A change was not confirmed")
FILE_FAILED = declare("TT-116", "A file or folder cannot be read or written")
WRONG_USAGE = declare("TT-117", "A command line that no verb takes")
# 2xx: releases and building
NO_SUCH_RELEASE = declare("TT-201", "No release of that name, number or digest")
AMBIGUOUS_DIGEST = declare("TT-202", "A digest prefix matches more than one release")
WRONG_FORMAT = declare("TT-203", "The model file is not of the declared format")
UNTRUSTED_FORMAT = declare("TT-204", "The model format can execute code and trust was not given")
BAD_REFERENCE = declare("TT-205", "The reference data cannot be used")
FEATURES_FAILED = declare("TT-206", "The feature code failed on the reference data")
MODEL_FAILED = declare("TT-207", "The model failed to load or predict at build time")
TAMPERED = declare("TT-208", "Stored bytes do not match their digest")
MISSING_BLOB = declare("TT-209", "A blob that a release refers to is missing")
MISSING_FILE = declare("TT-210", "A file that the build needs does not exist")
# 3xx: environments
LOCK_FAILED = declare("TT-301", "The requirements cannot be resolved to a lock")
LOCK_MISMATCH = declare("TT-302", "An environment does not match its lock")
ENVIRONMENT_FAILED = declare("TT-303", "The environment cannot be built from its lock")
# 4xx: serving
WORKER_FAILED = declare("TT-401", "A worker of the release did not become ready")
GOLDEN_FAILED = declare("TT-402", "The golden set does not reproduce within its tolerance")
NO_SUCH_GPU = declare("TT-403", "A worker is to use a GPU that the machine does not have")
# 5xx: metadata and journal
JOURNAL_BROKEN = declare("TT-501", "The journal's hash chain does not verify")
STALE_EPOCH = declare("TT-502", "A newer leader has taken over")
STORE_FAILED = declare("TT-503", "The metadata database refused a write")
# 6xx: deployments, rollouts, retraining
NO_SUCH_DEPLOYMENT = declare("TT-601", "No deployment of that name")
ROLLOUT_IN_PROGRESS = declare("TT-602", "A rollout is already in progress")
NO_ROLLOUT = declare("TT-603", "There is no rollout to act on")
NO_ROLLBACK_TARGET = declare("TT-604", "There is no proven release to roll back to")
RUN_FAILED = declare("TT-605", "A pipeline run failed")
NO_PIPELINE = declare("TT-606", "The model has no pipeline")
RUN_IN_PROGRESS = declare("TT-607", "A pipeline run of this model is already in progress")
ROLLED_BACK = declare("TT-608", "The guard rolled the release back")
INCOMPATIBLE = declare("TT-609", "The release does not fit the deployment")
NO_SUCH_RUN = declare("TT-610", "No run of that id")
RETRAIN_HELD = declare("TT-611", "Retraining is held while the inputs are at fault")
NO_SUCH_INCIDENT = declare("TT-612", "No incident of that id")
# 7xx: processes of one machine
SPAWN_FAILED = declare("TT-701", "A process could not be started")
AGENT_GONE = declare("TT-702", "The node agent does not answer")
# 8xx: request log and labels
BAD_LABELS = declare("TT-801", "Labels cannot be read")
LOG_FAILED = declare("TT-802", "The request log cannot be written or read")
BAD_PARITY = declare("TT-803", "Values cannot be compared with what was served")
# 9xx: client and demo
REQUEST_FAILED = declare("TT-901", "An inference request failed")
DEMO_DATA = declare("TT-902", "The demo's data set is not there")
DEMO_FAILED = declare("TT-903", "An act of the demo did not end as it should")
BAD_TABLE = declare("TT-904", "A table to score cannot be used")
OTHER_SCORING = declare("TT-905", "The output's work folder belongs to another scoring")
BAD_DATA = declare("TT-910", "A table cannot be monitored")
