"""The fault catalogue of `benchmarks/diagnosis` on a small invented data set: it runs, and is right
where a fault is plain."""

from functools import cache
from pathlib import Path

import diagnosis
import numpy as np
import pytest
from catalogue.faults import BY_NAME, CATALOGUE
from catalogue.life import Stage, lived, staged
from catalogue.page import page
from catalogue.scores import Outcome, judged
from catalogue.sources import SOURCES
from catalogue.tables import DAY, DataSet, Pace, Pool, Roles, Table

HOUR = 3600.0


def invented(n: int, seed: int) -> Table:
    """A number, a text and a source, and a truth that depends on the first two."""
    draw = np.random.default_rng(seed)
    level = draw.standard_normal(n)
    side = draw.choice(np.array(["left", "right"], dtype=object), n, p=[0.7, 0.3])
    source = draw.choice(np.array(["a", "b"], dtype=object), n)
    odds = 2.5 * level + 1.5 * (side == "left")
    truth = draw.random(n) < 1.0 / (1.0 + np.exp(-odds))
    return Table({"level": level, "side": side, "source": source}, truth, np.zeros(n))


@cache
def stage() -> Stage:
    """The data set with its releases."""
    pace = Pace(
        step=HOUR,
        share=1.0 / 3.0,
        delay=HOUR,
        maturity=4 * HOUR,
        before=(16 * HOUR, 20 * HOUR),
        after=20 * HOUR,
    )
    train, reference, live = (invented(n, seed) for seed, n in enumerate((4000, 4000, 6000)))
    roles = Roles("level", "side", "source", "source")
    pool = Pool(live, 300)
    return staged(DataSet("invented", "invented", train, reference, None, pool, pace, roles))


@cache
def outcome(name: str) -> Outcome:
    """A run of a fault."""
    return judged(lived(stage(), BY_NAME[name], seed=1))


@pytest.mark.no_cover
@pytest.mark.parametrize("name", ["null-burst", "concept-flip", "cpu-starvation"])
def test_a_plain_fault_is_told_and_its_cause_is_named_first(name: str) -> None:
    found = outcome(name)
    assert not found.false
    assert found.detected is not None
    assert found.named_first
    assert found.right is not None
    assert found.right >= found.detected


@pytest.mark.no_cover
def test_nothing_is_told_of_nothing() -> None:
    found = outcome("nothing")
    assert (found.lead, found.detected, found.false) == (None, None, ())
    assert 36 * HOUR < found.quiet_seconds < 41 * HOUR


@pytest.mark.no_cover
def test_the_same_seed_is_the_same_run() -> None:
    again = judged(lived(stage(), BY_NAME["null-burst"], seed=1))
    assert again == outcome("null-burst")


def test_the_catalogue_has_a_name_a_sentence_and_a_dose_for_each_fault() -> None:
    assert len(BY_NAME) == len(CATALOGUE) >= 24
    for fault in CATALOGUE:
        assert fault.about.endswith(".")
        assert 0.0 < fault.doses[0] <= fault.doses[1]
        assert fault.causes or not fault.harmful
        assert bool(fault.either) == (len(fault.causes) > 1)


def test_a_fault_harms_but_where_it_is_known_to_spare() -> None:
    misread = BY_NAME["candidate-misreads"]
    assert [misread.harms(name) for name in ("census", "flights", "stops")] == [True, False, False]
    assert not BY_NAME["nothing"].harms("census")
    assert all(set(fault.spared) <= set(SOURCES) for fault in CATALOGUE)


def test_the_page_tells_of_every_run() -> None:
    outcomes = [outcome(name) for name in ("null-burst", "nothing")]
    text = page(outcomes, [stage().data], seeds=1, command="made by a test")
    assert "| upstream_break | 1 |  |" in text
    assert "| (nothing) |  | 1 |" in text
    assert f"{(outcomes[0].quiet_seconds + outcomes[1].quiet_seconds) / DAY:,.0f}" in text


@pytest.mark.no_cover
def test_a_run_that_was_kept_is_not_lived_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "stage", lambda name: stage())
    monkeypatch.setattr(diagnosis, "lived", lambda *order: None)
    monkeypatch.setattr(diagnosis, "judged", lambda life: outcome("null-burst"))
    order = diagnosis.Order("invented", BY_NAME["null-burst"], 1)
    kept = diagnosis.kept_in(tmp_path)
    first = diagnosis.carried_out(order, kept)
    monkeypatch.delattr(diagnosis, "lived")
    assert diagnosis.carried_out(order, kept).lead == first.lead
    assert diagnosis.carried_out(order, diagnosis.kept_in(tmp_path)).detected == first.detected
