"""Sums of real numbers as whole numbers: exact, and the same in any order."""

MICRO = 2.0**20
"""Such sums are kept in whole multiples of 2**-20."""
