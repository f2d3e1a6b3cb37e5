"""Numbers as a person reads them."""

TINY = 1e-9
"""What lies nearer to zero says no more to a reader than that it does."""
_SIDES = {True: "<1e-9", False: ">-1e-9"}


def figures(value: float, digits: int = 4) -> str:
    """So many significant digits, and of what is nearly 0 its side: `0.1735`, `<1e-9`, `>-1e-9`."""
    if 0.0 < abs(value) < TINY:
        return _SIDES[value > 0.0]
    return f"{value:.{digits}g}"


def within(value: float, lower: float, upper: float) -> str:
    """An estimate with its interval: `0.1735 [0.15, 0.2]`."""
    return f"{figures(value)} [{figures(lower)}, {figures(upper)}]"
