"""What a watch does with signals that cannot leave their zone."""

from trimtab.judge.watch import Watch, Zone


def test_a_zone_without_borders_gathers_no_evidence() -> None:
    watch = Watch([Zone(None, 1.0)], None, 1.0)
    watch.take(0.0, [50.0], 100)
    assert watch.log10_evidence == 0.0
    assert watch.since is None
