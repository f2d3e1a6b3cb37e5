"""Failures keep to themselves what is nobody's business, and use codes that exist."""

import asyncio
import json
import os
from pathlib import Path

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


def test_a_refusal_names_the_line_of_the_release_that_failed(tmp_path: Path) -> None:
    """What a library raises is told by the line that called it."""
    path = tmp_path / "rules.py"
    code = compile("import pathlib\n\npathlib.Path('none').read_text()\n", path, "exec")
    with (
        pytest.raises(failures.Refusal, match=r"'none' \(rules\.py, line 3\)$"),
        failures.refusing("TT-207", "cannot load", tmp_path),
    ):
        exec(code, {})  # noqa: S102 - it is ours, and under test
    with (
        pytest.raises(failures.Refusal, match=r"KeyError: 'x'$"),
        failures.refusing("TT-207", "cannot load", tmp_path),
    ):
        raise KeyError("x")


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
