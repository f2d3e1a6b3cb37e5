"""Effects of groups drawn towards none, as far as groups are known to differ (empirical Bayes).

Each of k groups shows an effect a with a known variance v by chance. If the effects themselves are
spread around zero with variance t, the best guess at one is ``a t / (t + v)``, which is off by a
variance of ``v t / (t + v)``: little is believed of a group of few rows, and all of a large one.
The spread t follows from how much larger the effects are than chance alone would make them.

What is assumed: effects around zero, whose sizes tell of each other. An effect that is like none of
the others is drawn in too far as long as its group is small.

Source: DerSimonian & Laird, Controlled Clinical Trials 1986 (the moment estimate, here around
zero); Efron & Morris, Stein's estimation rule and its competitors, JASA 1973.
"""

import numpy as np
from numpy.typing import ArrayLike

from trimtab.stats.logspace import FloatArray


def spread_of_effects(effects: ArrayLike, variances: ArrayLike) -> float:
    """Return the variance t of the effects (k,) beyond chance, whose ``variances`` (k,) are > 0.

    0.0 for no effects. Raises ``ValueError`` when shapes differ or a variance is not positive.

    >>> round(spread_of_effects([0.3, -0.3, 0.3], [0.01, 0.01, 0.01]), 6)
    0.08
    """
    apart, chance = (np.asarray(each, dtype=np.float64) for each in (effects, variances))
    if apart.shape != chance.shape or not bool((chance > 0.0).all()):
        raise ValueError(f"need variances > 0 of effects, not {apart.shape}, {chance.shape}")
    if not apart.size:
        return 0.0
    beyond = float((apart**2 / chance).sum()) - apart.size
    return max(beyond / float((1.0 / chance).sum()), 0.0)


def kept(spread: float, variances: ArrayLike) -> FloatArray:
    """Return the part of each effect that is believed, for their spread t; ``variances`` are > 0.

    >>> kept(0.03, [0.01, 0.03]).tolist()
    [0.75, 0.5]
    """
    chance = np.asarray(variances, dtype=np.float64)
    return np.asarray(spread / (spread + chance), dtype=np.float64)
