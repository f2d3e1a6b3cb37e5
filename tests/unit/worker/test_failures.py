"""Failures keep to themselves what is nobody's business, and use codes that exist."""

import asyncio
import json
import os

import pytest

from trimtab import errors
from trimtab.worker import failures
from trimtab.worker.frames import Kind, encode


def test_the_worker_uses_codes_that_trimtab_declares() -> None:
    declared = {entry.code for entry in errors.registry()}
    used = {value for name, value in vars(failures).items() if str(value).startswith("TT-")}
    assert used
    assert used <= declared


def test_a_failure_tells_type_and_text_but_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(failures.StageFailure) as caught, failures.failing_at("model"):
        raise KeyError("x" * 5000)
    assert str(caught.value).startswith("KeyError: ")
    assert len(str(caught.value)) < 2100
    assert "Traceback" in capsys.readouterr().err


class Mute(Exception):
    """An exception that cannot even be told."""

    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (SystemExit(), "SystemExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (asyncio.CancelledError(), "CancelledError"),
        (Mute(), r"Mute: its text cannot be had \(ValueError\)"),
    ],
)
def test_code_of_a_release_cannot_end_the_worker_for_one_request(
    raised: BaseException, text: str
) -> None:
    with pytest.raises(failures.StageFailure, match=text), failures.failing_at("model"):
        raise raised


def test_what_a_failure_says_can_always_be_sent() -> None:
    name = os.fsdecode(b"caf\xe9.csv")
    with pytest.raises(failures.StageFailure) as caught, failures.failing_at("features"):
        raise FileNotFoundError(name)
    frame = b"".join(map(bytes, encode(Kind.FAILURE, {"message": str(caught.value)})))
    assert rb"caf\\udce9.csv" in frame


def test_a_refusal_is_one_line_of_json() -> None:
    line = failures.Refusal(10, failures.GOLDEN_FAILED, "no\nluck", 0.5).line()
    assert json.loads(line) == {"error": "no\nluck", "code": "TT-402", "golden_difference": 0.5}
    assert "\n" not in line
