"""Free texts are told from categories, and what is seen of one is the same whoever looks."""

import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, rows, spec

from trimtab.domain.records import Rows
from trimtab.domain.verdicts import Verdict
from trimtab.judge.free_text import FEWEST, WORDS, expanded, free, script, seen, views, word
from trimtab.judge.monitors import Monitors
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.reports import Surroundings

ENGLISH = ["please", "refund", "order", "came", "late", "broken", "box", "wet", "thank", "you"]


def notes(n: int, vocabulary: list[str], seed: int, longest: int = 12) -> np.ndarray:
    """Invented messages; the number at the end makes each another."""
    rng = np.random.default_rng(seed)
    made = [
        f"{' '.join(rng.choice(vocabulary, rng.integers(3, longest)))} {seed}-{i}" for i in range(n)
    ]
    return np.array(made, dtype=object)


def told(live: np.ndarray) -> dict[str, Verdict]:
    """What monitors say of messages as the only input, in rows without days."""
    known = build_profile(Reference(BINARY, {"note": notes(4_000, ENGLISH, 0)}))
    plan = spec(block_seconds=3600.0, segments=())
    monitors = Monitors.start(plan, BINARY, known, STABLE.digest, 0.0)
    given = rows(len(live), start=0.0)
    monitors.observe(Rows(given.fixed, {"note": live}, given.outputs))
    report = monitors.assess(2 * DAY, (), Surroundings())
    return {verdict.signal: verdict for verdict in report.verdicts}


def test_texts_that_nearly_all_differ_are_free_and_numbers_are_not() -> None:
    many = np.array([f"t{i}" for i in range(FEWEST)], dtype=object)
    assert free(many)
    assert not free(many[1:])
    assert not free(np.repeat(many, 2))
    assert not free(np.arange(1_000.0))


def test_a_free_text_becomes_its_views_and_a_segment_stays() -> None:
    inputs = {"note": notes(300, ENGLISH, 1), "other": notes(300, ENGLISH, 2), "x": np.ones(300)}
    made = views(inputs, ("other",))
    assert list(made) == ["note.length", "note.word"]
    columns = expanded(inputs, made)
    assert list(columns) == ["note.length", "note.word", "other", "x"]
    assert np.asarray(columns["note.length"])[0] == len(inputs["note"][0])


def test_a_protected_group_stays_a_category_however_many_values_it_has() -> None:
    inputs = {"place": notes(600, ENGLISH, 1)}
    known = build_profile(Reference(BINARY, inputs, groups=("place",)))
    assert [(column.name, column.view) for column in known.inputs] == [("place", "")]


def test_missing_texts_are_missing_in_every_view() -> None:
    texts = np.array(["a b", None, ""], dtype=object)
    assert np.isnan(seen("length", texts)).tolist() == [False, True, False]
    assert seen("script", texts).tolist() == ["latin", None, "none"]
    assert seen("word", texts)[1:].tolist() == [None, "none"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Hello, 42", "latin"),
        ("42!", "none"),
        ("…42", "none"),
        ("добрый день, Tom", "cyrillic"),
        ("配達が遅れました", "hiragana"),
        ("订单迟到了", "cjk"),
        ("αβab", "greek"),
        ("\ud800", "none"),
    ],
)
def test_the_script_is_that_of_most_letters(text: str, name: str) -> None:
    assert script(text) == name


def test_a_word_is_one_of_the_text_in_any_case_and_numbers_are_none() -> None:
    assert word("refund") == word("REFUND") == word("2024 refund 17")
    assert word("2024-11-26") == "none"
    assert word("\ud800 x") == word("x")
    bins = {word(f"{text} {i}") for i, text in enumerate(ENGLISH * 20)}
    assert len(bins) > 8
    assert all(0 <= int(each) < WORDS for each in bins)


def test_the_same_vocabulary_raises_nothing() -> None:
    assert {v.verdict for s, v in told(notes(4_000, ENGLISH, 9)).items() if "note" in s} == {"ok"}


def test_words_that_become_frequent_are_another_vocabulary() -> None:
    verdicts = told(notes(4_000, [*ENGLISH, "broken", "broken", "wet", "wet"], 9))
    assert verdicts["input:note.word"].verdict == "bad"


def test_texts_that_become_short_are_seen_in_their_length() -> None:
    verdicts = told(notes(4_000, ENGLISH, 9, longest=5))
    assert verdicts["input:note.length"].verdict == "bad"


def test_a_log_that_lost_the_text_has_no_view_of_it() -> None:
    known = build_profile(Reference(BINARY, {"note": notes(400, ENGLISH, 0)}))
    monitors = Monitors.start(spec(segments=()), BINARY, known, STABLE.digest, 0.0)
    given = rows(500)
    monitors.observe(Rows(given.fixed, {}, given.outputs))
    counted = monitors.count(Rows(given.fixed, {}, given.outputs))["inputs"]
    assert {bins.missing for block in counted.values() for bins in block.columns.values()} <= {
        bins.n for block in counted.values() for bins in block.columns.values()
    }
