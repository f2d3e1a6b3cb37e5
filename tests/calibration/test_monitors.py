"""How often monitors and guard are wrong where nothing is, and how late where something is."""

import numpy as np
import pytest
from tests.support.traffic import (
    BINARY,
    CANDIDATE,
    DAY,
    STABLE,
    Change,
    changed,
    labelled,
    profile,
    rows,
    spec,
)

from trimtab.domain.deployment import RolloutPlan
from trimtab.domain.verdicts import Incident
from trimtab.judge.monitors import Monitors
from trimtab.judge.reports import Surroundings
from trimtab.judge.trial import Compared
from trimtab.judge.watch import Watch, Zone

pytestmark = pytest.mark.slow


def alarms_per_year(watch: Watch, days: np.ndarray, rows_a_day: int) -> float:
    """Alarms of a watch over a stream of daily means, re-armed after each."""
    alarms = 0
    for number, mean in enumerate(days.tolist()):
        watch.take(number * DAY, [mean * rows_a_day], rows_a_day)
        if watch.frozen is not None:
            alarms += 1
            watch.rearm()
    return alarms * 365.0 / len(days)


@pytest.mark.parametrize("summed", [True, False])
@pytest.mark.parametrize("heavy", [True, False])
def test_streams_at_the_border_alarm_no_more_often_than_promised(summed: bool, heavy: bool) -> None:
    """Daily means at the very border of the zone, with effects of the day, some of them storms."""
    rng = np.random.default_rng(7)
    noise = rng.gamma(1.0, 0.05, 20_000) - 0.05 if heavy else rng.normal(0.0, 0.05, 20_000)
    days = np.clip(0.2 + noise, 0.0, 1.0)
    spread = float(np.quantile(np.abs(days - 0.2), 0.99))
    watch = Watch((Zone(None, float(days.mean())),), spread, 2.0, summed)
    found = alarms_per_year(watch, days, 900)
    print(f"summed={summed}, storms={heavy}: {found:.2f} false alarms a year, at most 3.65")
    assert found <= 365.0 / 100.0


def test_quiet_streams_inside_the_zone_stay_quiet() -> None:
    rng = np.random.default_rng(8)
    days = np.clip(rng.normal(0.18, 0.05, 20_000), 0.0, 1.0)
    watch = Watch((Zone(None, 0.2),), 0.13, 2.0, summed=True)
    assert alarms_per_year(watch, days, 900) <= 1.0


def test_a_year_of_ordinary_days_raises_no_incident() -> None:
    monitors = Monitors.start(spec(), BINARY, profile(), STABLE.digest, 20 * DAY)
    opened: list[Incident] = []
    for day in range(20, 385):
        part = rows(300, seed=day, start=day * DAY)
        monitors.observe(part)
        monitors.learn(labelled(part, seed=day))
        report = monitors.assess((day + 1) * DAY + 3600.0, tuple(opened), Surroundings())
        opened += report.opened
    assert opened == []


def test_harm_is_found_within_days_at_any_date() -> None:
    delays = []
    for trial in range(12):
        monitors = Monitors.start(spec(), BINARY, profile(), STABLE.digest, 20 * DAY)
        began = 23 + 2 * trial
        for day in range(20, began + 15):
            part = rows(400, seed=trial * 1000 + day, start=day * DAY)
            harm = Change(flip=0.2 if day >= began else 0.0)
            monitors.observe(changed(part, harm, day))
            monitors.learn(labelled(part, seed=day, flip=harm.flip))
            report = monitors.assess((day + 1) * DAY + 3600.0, (), Surroundings())
            if any(v.signal == "quality" and v.verdict == "bad" for v in report.verdicts):
                delays.append(day - began + 1)
                break
    assert len(delays) == 12
    assert np.median(delays) <= 3
    assert min(delays) >= 1


@pytest.mark.parametrize("weight", [100, 1000, 5000])
def test_candidates_that_are_no_worse_are_rarely_rolled_back(weight: int) -> None:
    """Looked at after every 50 bad events, against the part of alpha that errors may spend."""
    rng = np.random.default_rng(weight)
    plan, wrong = RolloutPlan(), 0
    limit = -np.log10(plan.alpha * 0.4)
    for _ in range(300):
        compared = Compared()
        for _ in range(20):
            for candidate in (rng.random(50) < weight / 10_000).tolist():
                compared.add(weight, candidate, True, CANDIDATE.name)
            if compared.worse(1.0) >= limit:
                wrong += 1
                break
    print(f"weight {weight / 10_000:.0%}: {wrong} of 300 rolled back, at most {plan.alpha:.0%}")
    assert wrong / 300 <= plan.alpha
