"""Which columns go together is learned from the reference, boundedly, and not from chance."""

import numpy as np
import pytest

from trimtab.domain.profile import MultivariateProfile
from trimtab.domain.signature import Signature
from trimtab.judge import relations
from trimtab.judge.profile import Reference, build_profile
from trimtab.stats.confidence import dkw_half_width

RNG = np.random.default_rng(5)
N = 4_000


def chain(n: int = N, seed: int = 5) -> dict[str, np.ndarray]:
    """Columns of which each tells of the next, a text among them, and one that tells of none."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    b = a + rng.normal(size=n)
    c = np.where(b > 0, "high", "low").astype(object)
    c[rng.random(n) < 0.1] = None
    return {"a": a, "b": b, "c": c, "alone": rng.normal(size=n)}


def learned(inputs: dict[str, np.ndarray]) -> MultivariateProfile:
    """The relations of a reference."""
    found = build_profile(Reference(Signature((), ()), inputs)).multivariate
    assert found is not None
    return found


def test_columns_that_tell_of_each_other_are_paired_and_others_are_left_out() -> None:
    profile = learned(chain())
    assert [column.name for column in profile.columns] == ["a", "b", "c"]
    assert [score.name for score in profile.scores] == ["a", "b", "c"]
    assert relations.partners(profile)["c"].keys() == {"b", "a"}


def test_columns_without_relation_have_no_pair() -> None:
    rng = np.random.default_rng(0)
    assert learned({name: rng.normal(size=N) for name in "abcdefgh"}) == MultivariateProfile()


def test_a_small_reference_says_nothing_of_relations() -> None:
    small = {name: values[:499] for name, values in chain().items()}
    assert learned(small) == MultivariateProfile()


def test_pairs_are_bounded_and_no_column_is_left_out_for_the_second_partner_of_another() -> None:
    rng = np.random.default_rng(1)
    hidden = rng.normal(size=(1_000, 60))
    inputs = {f"x{i}": hidden[:, i // 2] + 0.3 * rng.normal(size=1_000) for i in range(120)}
    inputs |= {f"y{i}": hidden[:, 0] + rng.normal(size=1_000) for i in range(40)}
    profile = learned(inputs)
    assert len(profile.pairs) <= relations.MOST_PAIRS
    assert len(profile.columns) == 160


def test_more_columns_than_are_looked_at_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relations, "MOST_COLUMNS", 2)
    assert [column.name for column in learned(chain()).columns] == ["a", "b"]


@pytest.mark.parametrize("rows", [500, 2_000, 4_000])
def test_rows_of_the_same_law_score_as_the_reference_did(rows: int) -> None:
    """However small it was: within what a reference of so many rows knows of shares."""
    profile = learned({name: values[:rows] for name, values in chain().items()})
    live = chain(20_000, seed=6)
    found = relations.scores(
        relations.partners(profile), relations.lifts(profile, relations.tables(profile), live)
    )
    for column in profile.scores:
        bins = np.searchsorted(column.cuts, found[column.name], side="left")
        shares = np.bincount(bins, minlength=len(column.masses)) / bins.size
        apart = np.abs(np.cumsum(shares) - np.cumsum(column.masses)).max()
        assert apart < dkw_half_width(rows, 0.01)


def test_lifts_are_whole_numbers_whose_mean_is_what_is_usual() -> None:
    profile, live = learned(chain()), chain(20_000, seed=6)
    for pair, lift in zip(
        profile.pairs, relations.lifts(profile, relations.tables(profile), live), strict=True
    ):
        assert lift.dtype == np.int64
        assert abs(lift.mean() - pair.usual) < 40.0
