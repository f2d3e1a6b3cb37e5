"""What a text of somebody else's may do to a terminal: be read."""

import io

import pytest
from rich.text import Text

from trimtab import errors
from trimtab.cli.screen import Screen
from trimtab.cli.terminal import Terminal
from trimtab.views.terminal import table


def shown(rows: list[tuple[str, str]]) -> str:
    """A table on a terminal with colours."""
    out = io.StringIO()
    terminal = Terminal(file=out, width=80, force_terminal=True, color_system="standard")
    terminal.print(table(("value", "n"), [(Text(value, "red"), n) for value, n in rows]))
    return out.getvalue()


def test_a_value_cannot_steer_the_terminal() -> None:
    told = shown([("\x1b]0;title\x07\x1b[2Jcat", "1"), ("\x9b31mdog", "2")])
    assert "\x1b[31m]0;title[2Jcat" in told
    assert "\x1b[31m31mdog" in told
    assert not {"\x07", "\x9b"} & set(told)


def test_neither_narration_nor_an_error_steers_it(capsys: pytest.CaptureFixture[str]) -> None:
    """What a model or a file of somebody else says stands in both."""
    screen = Screen(verbose=True)
    screen.say("failed worker-0: \x1b[2J no such column\n\tcat")
    try:
        raise ValueError("\x1b]0;title\x07")
    except ValueError as cause:
        error = errors.Permanent(errors.MODEL_FAILED, "build", "m", f"it says {cause}")
        error.__cause__ = cause
    with pytest.raises(SystemExit):
        screen.fail(error)
    told = capsys.readouterr().err
    assert told.startswith(
        "failed worker-0: [2J no such column\n\tcat\nerror: build m: it says ]0;title"
    )
    assert "Traceback" in told
    assert not {"\x1b", "\x07"} & set(told)


def test_colours_and_columns_stay_as_they_are() -> None:
    lines = shown([("\x1bcat", "1"), ("cat", "1")]).splitlines()
    assert lines[1] == lines[2]
    assert "\x1b[31mcat" in lines[1]
