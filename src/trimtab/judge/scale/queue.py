"""How long a call takes from its arrival to its answer, when workers batch what waits."""

import math
from dataclasses import dataclass

from trimtab.judge.scale.cost import MOST_CALLS, Cost, deviations


def wait(quantile: float, rate: float, workers: int, seconds: float, spread: float) -> float:
    """Quantile of the time in the queue of `workers` that each take `seconds` for a call; may be
    infinite.

    Calls arrive at random at `rate` per second. The chance to wait is Sakasegawa's approximation
    of M/M/c (Annals of the Institute of Statistical Mathematics 29, 1977), the mean wait is
    Kingman's correction of it for service times of coefficient of variation `spread`, and those
    that wait do so for exponential times."""
    used = rate * seconds / workers
    if used >= 1.0:
        return math.inf
    chance = used ** (math.sqrt(2.0 * (workers + 1)) - 1.0)
    if chance <= 1.0 - quantile:
        return 0.0
    mean = seconds / (workers * (1.0 - used)) * (1.0 + spread**2) / 2.0
    return mean * math.log(chance / (1.0 - quantile))


def latency(quantile: float, rate: float, workers: int, cost: Cost) -> float:
    """Quantile of the time from arrival to answer, seconds; infinite when the queue would grow.

    A worker that frees takes all that waits, so who waited is served with those who waited too: to
    the wait comes the work of the calls that came in it. At `rate / workers` calls a second
    a batch grows until it takes T = batch / (1 - used), where `used` is the share of time that the
    calls' own part takes: a call waits for such a batch and is served in one of as many calls as
    may come in T. Where batching saves nothing, or hardly anybody meets company, the plain queue
    is the better bound."""
    used = rate * cost.call / workers
    if used >= 1.0:
        return math.inf
    rare = deviations(quantile)
    slower = 1.0 + rare * cost.spread
    waited = wait(quantile, rate, workers, cost.alone, cost.spread)
    company = min(rate * waited, MOST_CALLS) * cost.call
    cycle = max(cost.alone, cost.batch / (1.0 - used))
    calls = rate / workers * cycle
    served = max(cost.alone, cost.batch + cost.call * (calls + rare * math.sqrt(calls)))
    shared = (1.0 + used) * wait(quantile, rate, workers, cost.least, cost.spread)
    return min(waited + company + cost.slow(quantile), shared + cycle + served * slower)


MOST = 4096


@dataclass(frozen=True, slots=True)
class Goal:
    """An answer within `seconds` at `quantile`, from workers that are asked for at most `used` of
    what they can answer, with waits of at most `share` of the time that is left for waiting. Calls
    are taken to wait `extra` seconds longer than the model says."""

    quantile: float
    seconds: float
    used: float
    share: float
    extra: float = 0.0

    def met(self, rate: float, workers: int, cost: Cost) -> bool:
        """Whether so many workers reach the goal. Where a call alone takes most of the time that
        was promised, no number of workers would; then it may wait for a part of its own time."""
        if rate * cost.least > self.used * workers:
            return False
        slow = cost.slow(self.quantile)
        waits = latency(self.quantile, rate, workers, cost) - slow + self.extra
        return waits <= self.share * max(self.seconds - slow, cost.alone / 4.0)

    def workers(self, rate: float, cost: Cost, most: int = MOST) -> int:
        """The fewest workers that reach the goal, at least 1; `most` + 1 when `most` do not."""
        low, high = 0, most + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.met(rate, middle, cost) else (middle, high)
        return high
