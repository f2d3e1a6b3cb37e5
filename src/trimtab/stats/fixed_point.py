"""Sums of real numbers as whole numbers: exact, and the same in any order.

>>> parts = [round(value * MICRO) for value in (0.1, 0.7, 0.2)]
>>> sum(parts) == sum(reversed(parts)), round(sum(parts) / MICRO, 5)
(True, 1.0)
"""

MICRO = 2.0**20
"""Such sums are kept in whole multiples of 2**-20."""
