"""Exact tails of counts: how improbable is it to see this many or more?

The binomial tail is a regularised incomplete beta function, the Poisson tail a regularised
incomplete gamma function. Both are evaluated here, on logarithms, by the continued fractions and
series of the NIST Digital Library of Mathematical Functions, 8.17 and 8.11, with the modified
method of Lentz for the fractions.
"""

import math
from collections.abc import Iterator

TINY = 1e-300
PRECISION = 1e-15


def log_binomial(n: int, k: int) -> float:
    """Return the natural logarithm of "n choose k". ``ValueError`` unless 0 <= k <= n.

    >>> round(math.exp(log_binomial(5, 2)), 9)
    10.0
    """
    if not 0 <= k <= n:
        raise ValueError(f"need 0 <= k <= n, not {k}, {n}")
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def binomial_tail(k: int, n: int, p: float) -> float:
    """Return P(X >= k) for X binomial with n trials of probability p.

    Raises ``ValueError`` unless n >= 0 and 0 <= p <= 1.

    >>> round(binomial_tail(2, 3, 0.5), 12)
    0.5
    """
    if n < 0 or not 0.0 <= p <= 1.0:
        raise ValueError(f"need n >= 0 and p in [0, 1], not {n!r}, {p!r}")
    if k <= 0:
        return 1.0
    return 0.0 if k > n else incomplete_beta(float(k), float(n - k + 1), p)


def poisson_tail(k: int, mu: float) -> float:
    """Return P(N >= k) for N Poisson with mean mu (events). ``ValueError`` unless mu >= 0, finite.

    >>> round(poisson_tail(1, 1.0), 12) == round(1 - math.exp(-1), 12)
    True
    """
    if not 0.0 <= mu < math.inf:
        raise ValueError(f"mu must be finite and >= 0, not {mu!r}")
    if k <= 0 or mu == 0.0:
        return 1.0 if k <= 0 else 0.0
    front = math.exp(k * math.log(mu) - mu - math.lgamma(k))
    if mu < k + 1:
        return min(front * _gamma_series(float(k), mu), 1.0)
    return max(1.0 - front * _fraction(mu + 1.0 - k, _gamma_terms(float(k), mu)), 0.0)


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b) for a, b > 0 and x in [0, 1].

    >>> round(incomplete_beta(2.0, 3.0, 0.5), 12)
    0.6875
    """
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return max(1.0 - _beta_small(b, a, 1.0 - x), 0.0)
    return min(_beta_small(a, b, x), 1.0)


def _beta_small(a: float, b: float, x: float) -> float:
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta) / a
    return front * _beta_fraction(a, b, x)


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Return ``1 / (1 + n1 / (1 + n2 / ...))`` as `_fraction` finds it, two terms a turn and
    without a call for each: quantiles of t, which come of it, are asked for all day long."""
    value = c = 1.0
    d, m, both, place = 0.0, 0.0, a + b, a
    while True:
        odd = -(a + m) * (both + m) * x / (place * (place + 1.0))
        d = 1.0 / ((1.0 + odd * d) or TINY)
        c = (1.0 + odd / c) or TINY
        factor = c * d
        value *= factor
        off = factor - 1.0
        if not (off > PRECISION or off < -PRECISION):
            return 1.0 / value
        m += 1.0
        place = a + 2.0 * m
        even = m * (b - m) * x / ((place - 1.0) * place)
        d = 1.0 / ((1.0 + even * d) or TINY)
        c = (1.0 + even / c) or TINY
        factor = c * d
        value *= factor
        off = factor - 1.0
        if not (off > PRECISION or off < -PRECISION):
            return 1.0 / value


def _gamma_terms(a: float, x: float) -> Iterator[tuple[float, float]]:
    m = 1
    while True:
        yield -m * (m - a), x + 2 * m + 1.0 - a
        m += 1


def _fraction(first: float, terms: Iterator[tuple[float, float]]) -> float:
    """Return ``1 / (first + n1 / (d1 + n2 / (d2 + ...)))`` by the modified method of Lentz."""
    value = c = first
    d, factor = 0.0, math.inf
    # Written so that a factor that is not a number ends the loop, too.
    while abs(factor - 1.0) > PRECISION:
        numerator, denominator = next(terms)
        d = 1.0 / ((denominator + numerator * d) or TINY)
        c = (denominator + numerator / c) or TINY
        factor = c * d
        value *= factor
    return 1.0 / value


def _gamma_series(a: float, x: float) -> float:
    """Return the sum of ``x**n / (a (a+1) ... (a+n))``, whose terms fall once n > x - a."""
    term = total = 1.0 / a
    n = 0
    while term > total * PRECISION:
        n += 1
        term *= x / (a + n)
        total += term
    return total
