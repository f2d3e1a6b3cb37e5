"""Hints of errors, as they stand in the source: what is a command can be pasted as it is."""

import ast
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import trimtab
from trimtab import errors
from trimtab.cli.group import VERBS
from trimtab.cli.group import trimtab as group

SOURCE = Path(trimtab.__file__).parent
FAMILIES = frozenset(family.__name__ for family in errors.TrimtabError.__subclasses__())
PLACE = 5
"""Where an error's hint stands among its arguments that are not named."""
VALUE = "x@1"
"""What stands in for whatever is only known when an error is made."""
PROGRAMS = frozenset(
    ("curl", "df", "export", "ls", "mkdir", "nvidia-smi", "pip", "python", "rm", "scripts/demo")
)


def hints() -> Iterator[tuple[str, str]]:
    """Where a hint is written, and a text that it may have."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for value in written(node):
                for text in texts(value):
                    if not text.startswith(";"):  # the end of a message
                        yield f"{path.relative_to(SOURCE)}:{value.lineno}", text


def written(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Call):
        yield from (word.value for word in node.keywords if word.arg == "hint")
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if name in FAMILIES and len(node.args) > PLACE:
            yield node.args[PLACE]
    if isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id.lower() == "hint" for target in node.targets
    ):
        yield node.value


def texts(value: ast.expr) -> list[str]:
    """The texts that an expression may have, as far as the source tells."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return [value.value]
    if isinstance(value, ast.IfExp):
        return texts(value.body) + texts(value.orelse)
    if isinstance(value, ast.JoinedStr):
        parts = [
            (texts(part.value) or [VALUE]) if isinstance(part, ast.FormattedValue) else texts(part)
            for part in value.values
        ]
        return ["".join(chosen) for chosen in itertools.product(*parts)]
    return []


WRITTEN = sorted(set(hints()))


def command(text: str) -> list[str]:
    """The words of a command after the variables that are set for it; empty for an edit."""
    try:
        words = shlex.split(text)
    except ValueError:
        return []
    left = list(itertools.dropwhile(re.compile(r"[A-Z_]+=").match, words))
    return left if left and left[0] in {"trimtab", *PROGRAMS} else []


COMMANDS = [(where, text) for where, text in WRITTEN if command(text)]


def test_the_hints_of_the_source_are_found() -> None:
    assert len(WRITTEN) > 100
    assert len(COMMANDS) > 50


@pytest.mark.parametrize(("where", "text"), COMMANDS)
def test_a_command_is_nothing_but_a_command(where: str, text: str) -> None:
    """No second one after it, no word about it, and nothing left for the reader to fill in."""
    assert not re.search(r"[;,:] | or |\b(?:FILE|TEXT|NAME|RELEASE|COLUMN|MODEL)\b", text), where


@pytest.mark.parametrize(
    ("where", "text"), [each for each in COMMANDS if command(each[1])[0] == "trimtab"]
)
def test_a_verb_takes_what_a_hint_gives_it(where: str, text: str) -> None:
    verb, *words = command(text)[1:]
    assert verb in VERBS, where
    made = group.get_command(click.Context(group), verb)
    assert made is not None
    context = click.Context(made, info_name=verb, help_option_names=["-h", "--help"])
    values, left, _ = made.make_parser(context).parse_args(list(words))
    assert left == [], where
    if not values.get("help"):
        lacking = [
            one.name for one in made.params if one.required and values.get(one.name or "") is None
        ]
        assert lacking == [], where


@pytest.mark.parametrize(("where", "text"), WRITTEN)
def test_no_hint_sends_its_reader_to_look_for_something(where: str, text: str) -> None:
    assert not text.startswith(("see ", "run ")), where
    assert not text.endswith("?") or text.startswith("did you mean "), where
