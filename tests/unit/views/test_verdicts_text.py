"""What a person reads of verdicts: what is known by signal, what is not by its reason."""

import io

import msgspec
from rich.console import Console, RenderableType

from trimtab.views.shapes import VerdictView
from trimtab.views.verdicts_text import judged, unjudged


def lines(view: RenderableType, width: int = 160) -> list[str]:
    """What is printed, without what pads the lines."""
    out = io.StringIO()
    Console(file=out, width=width).print(view)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def verdict(signal: str, word: str, reason: str) -> VerdictView:
    return VerdictView(
        signal=signal, scope={}, tier="page", verdict=word, reason=reason, release="m@1",  # type: ignore[arg-type]
        evidence_log10=0.0, threshold_log10=3.0, estimate=None, lower=None, upper=None,
        reference=None, tolerance=None, n=0, since=None,
    )  # fmt: skip


def test_signals_that_wait_for_the_same_thing_share_a_line() -> None:
    waiting = [verdict(name, "unknown", "no block") for name in ("errors", "latency")]
    told = lines(judged([*waiting, verdict("labels", "unknown", "no cohort")]))
    assert told == [
        "unknown            why",
        "? errors, latency  no block",
        "? labels           no cohort",
    ]


def test_many_signals_of_a_group_are_counted_and_few_are_named() -> None:
    inputs = [(f"input:{name}", "no block") for name in "abc"]
    texts = [(f"text:{name}", "no block") for name in "ab"]
    assert lines(unjudged([*inputs, *texts]))[1] == "? input:* (3), text:a, text:b  no block"


def test_what_is_known_has_a_line_of_its_own_before_what_is_not() -> None:
    told = lines(judged([verdict("errors", "unknown", "none"), verdict("latency", "ok", "fine")]))
    assert [line.split()[0] for line in told] == ["signal", "latency", "unknown", "?"]


def test_on_a_narrow_terminal_the_reason_has_the_room_of_the_numbers_that_it_holds() -> None:
    reason = "share slower than 100 ms 0.01 [0.0034, 0.029] lately (n=300), harmless up to 0.03"
    seen = {"estimate": 0.01, "lower": 0.0034, "upper": 0.029, "n": 300, "detectable": 0.022}
    told = msgspec.structs.replace(
        verdict("latency", "ok", reason), **seen, detectable_seconds=86_400.0
    )
    head, *rest = lines(judged([told]), 76)
    assert head.split() == ["signal", "verdict", "evidence", "reason"]
    assert len(rest) <= 3
    assert " ".join(" ".join(rest).split()).endswith("; sees ±0.022 in 24 h")
    assert "interval" in lines(judged([told]), 160)[0]


def test_without_any_unknown_signal_nothing_is_said_of_them() -> None:
    assert not any("unknown" in line for line in lines(judged([verdict("errors", "ok", "fine")])))


def test_what_is_not_known_of_two_releases_says_of_which() -> None:
    other = msgspec.structs.replace(verdict("errors", "unknown", "no block"), release="m@2")
    told = lines(judged([verdict("errors", "unknown", "no block"), other]))
    assert told[1] == "? errors of m@1, errors of m@2  no block"
