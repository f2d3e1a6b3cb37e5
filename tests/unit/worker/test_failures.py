"""Failures keep to themselves what is nobody's business, and use codes that exist."""

import json

import pytest

from trimtab import errors
from trimtab.worker import failures


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


def test_code_of_a_release_cannot_end_the_worker_for_one_request() -> None:
    with pytest.raises(failures.StageFailure, match="SystemExit"), failures.failing_at("model"):
        raise SystemExit


def test_a_refusal_is_one_line_of_json() -> None:
    line = failures.Refusal(10, failures.GOLDEN_FAILED, "no\nluck", 0.5).line()
    assert json.loads(line) == {"error": "no\nluck", "code": "TT-402", "golden_difference": 0.5}
    assert "\n" not in line
