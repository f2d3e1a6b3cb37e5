"""Effects of groups, drawn towards none as far as they are not known."""

import numpy as np
import pytest

from trimtab.stats.shrinkage import kept, spread_of_effects


def test_the_spread_of_drawn_effects_is_found_again() -> None:
    rng = np.random.default_rng(1)
    variances = rng.uniform(0.005, 0.02, 4000)
    effects = rng.normal(0.0, np.sqrt(0.01 + variances))
    assert spread_of_effects(effects, variances) == pytest.approx(0.01, rel=0.1)


def test_effects_of_chance_alone_have_no_spread() -> None:
    assert spread_of_effects([0.01, -0.02, 0.01], [0.01, 0.01, 0.01]) == 0.0
    assert spread_of_effects([], []) == 0.0


def test_more_is_believed_of_what_is_known_better() -> None:
    assert kept(0.02, [0.001, 0.02, np.inf]).tolist() == pytest.approx([0.952381, 0.5, 0.0])
    assert kept(0.0, [0.01]).tolist() == [0.0]


def test_drawn_effects_are_nearer_to_the_truth_than_what_was_seen() -> None:
    rng = np.random.default_rng(2)
    true = rng.normal(0.0, 0.1, 500)
    variances = rng.uniform(0.001, 0.05, 500)
    seen = true + rng.normal(0.0, np.sqrt(variances))
    guess = seen * kept(spread_of_effects(seen, variances), variances)
    assert np.square(guess - true).mean() < 0.6 * np.square(seen - true).mean()


@pytest.mark.parametrize(("effects", "variances"), [([0.1], [0.0]), ([0.1], [0.1, 0.1])])
def test_what_are_no_variances_is_refused(effects: list[float], variances: list[float]) -> None:
    with pytest.raises(ValueError, match="variances > 0"):
        spread_of_effects(effects, variances)
