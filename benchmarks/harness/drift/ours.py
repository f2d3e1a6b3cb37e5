"""trimtab, all that it judges: inputs, feeds, predictions, quality, by day."""

from told import measured

from trimtab import monitor


def run(reference: str, live: list[str]) -> str:
    """The verdict."""
    report = monitor(reference, live, target="label", score="score", time="when", segments=["t0"])
    return f"{report.verdict}, {len(report.streams)} streams"


measured(run)
