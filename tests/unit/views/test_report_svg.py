"""What charts of a report say in words, without a pointer to point at them."""

import re

import pytest

from trimtab.views.report_shapes import DistributionView
from trimtab.views.report_svg import distribution


def view(kind: str, *bins: str) -> DistributionView:
    shares = tuple(1.0 / len(bins) for _ in bins)
    return DistributionView(
        column="channel",
        kind="categorical" if kind == "categorical" else "continuous",
        bins=bins,
        reference=shares,
        live=shares,
        missing_reference_ratio=0.0,
        missing_live_ratio=0.0,
        outside_ratio=0.0,
        n=100,
        jensen_shannon=None,
        psi_excess=None,
    )


def named(made: str) -> list[str]:
    """The texts below the bars."""
    return re.findall(r'font-size="9">([^<]*)</text>', made)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            view("categorical", "mail", "phone & fax", "others"),
            ["mail", "phone &amp; fax", "others"],
        ),
        (view("categorical", *("by carrier pigeon" for _ in range(8))), ["by ca…"] * 8),
        (view("categorical", *map(str, range(20))), ["0", "1", "2"]),
        (view("continuous", "up to 3", "3 – 7", "above 7"), ["up to 3", "above 7"]),
        (view("continuous", "all"), ["all"]),
    ],
)
def test_bars_are_named_as_far_as_there_is_room(given: DistributionView, told: list[str]) -> None:
    assert named(distribution(given))[: len(told)] == told


def test_bars_without_room_for_a_name_have_none() -> None:
    assert named(distribution(view("categorical", *("x" * 9 for _ in range(40))))) == []
