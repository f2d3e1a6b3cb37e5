"""What a person reads of an order: whether it came to what was asked for."""

import io

import pytest
from rich.console import Console

from trimtab.views.shapes import DeployView, RolloutView
from trimtab.views.terminal import pairs, table
from trimtab.views.text import render


def told(view: DeployView) -> str:
    """The first line."""
    out = io.StringIO()
    Console(file=out, width=80).print(render(view))
    return out.getvalue().splitlines()[0]


@pytest.mark.parametrize(
    ("action", "outcome", "line"),
    [
        ("deploy", None, "✔ deploy churn"),
        ("deploy", "promoted", "✔ deploy churn"),
        ("deploy", "rolled_back", "✖ deploy churn"),
        ("deploy", "aborted", "✖ deploy churn"),
        ("abort", "aborted", "✔ abort churn"),
    ],
)
def test_only_what_came_to_what_was_asked_for_has_a_tick(
    action: str, outcome: str | None, line: str
) -> None:
    rollout = RolloutView(
        id="churn-r1",
        release="churn@2",
        strategy="canary",
        state="ended",
        step=0,
        outcome=outcome,  # type: ignore[arg-type]
    )
    view = DeployView(
        deployment="churn", release="churn@2", rollout=rollout, undo="", action=action
    )
    assert told(view) == line


def test_brackets_and_colons_of_a_cell_are_shown_as_they_are_written() -> None:
    rows = [("price[eur]", "[/x]"), ("input:apple:a", "[bold]b[/bold]")]
    out = io.StringIO()
    Console(file=out, width=80).print(table(("a", "b"), rows), pairs([("c", "[/d]")]))
    assert out.getvalue().split() == ["a", "b", *rows[0], *rows[1], "c", "[/d]"]
