"""False alarms of values that differ as often as is still harmless, told in every minute."""

import numpy as np
import pytest
from tests.support.traffic import BINARY, STABLE, spec

from trimtab.judge.budget import TIMES, YEAR, share, tier
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.parity import PORTION, TOLERANCE, Differences, Pairs, Parity

pytestmark = pytest.mark.slow

PORTIONS = 60_000
PER_YEAR = 36_525.0
"""False pages tolerated a year of minutes: so many that the portions drawn show if that is kept."""


@pytest.mark.parametrize("rows", [20, 200, 2000])
def test_columns_at_the_border_alarm_no_more_than_the_share_of_parity(rows: int) -> None:
    """Rows differ one by one here, each alarm is counted and the stream re-armed at once."""
    target = Target(spec(false_alarms_per_year=PER_YEAR), BINARY, None, STABLE.digest, 0.0)
    family, rng, alarms = Parity.of(target), np.random.default_rng(17), 0
    for portion in range(PORTIONS):
        hits = rng.binomial(rows, TOLERANCE, len(family.state.streams))
        told = zip(family.state.streams, hits.tolist(), strict=True)
        family.take({0: Pairs({name: Differences(rows, differing) for name, differing in told})})
        family.close(portion * PORTION, Breaks())
        for stream in family.state.streams.values():
            if stream.watch.frozen is not None:
                alarms += 1
                stream.watch.rearm()
    a_year = alarms / (PORTIONS * PORTION / YEAR)
    promised = PER_YEAR * TIMES[tier("parity")] * share("parity")
    print(f"{rows} rows a minute: {a_year:.0f} false alarms a year, at most {promised:.0f}")
    assert a_year <= promised
