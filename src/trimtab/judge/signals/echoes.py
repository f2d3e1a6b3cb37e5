"""Labels that echo the answers: decisions that come back as if they were what is true.

People follow a score and record what they did, or a table of outcomes is filled from that of the
answers: labels then agree with the model more than any model could be right, and quality looks
better than ever. How often it can be right is known from its scores: of rows whose chance is .8 one
in five comes out otherwise, whatever rows they are. A world may become easier to tell; it does not
halve the errors that the scores of the very same rows let expect.
"""

from collections.abc import Sequence

from trimtab.domain.verdicts import Verdict
from trimtab.judge import budget, describe
from trimtab.judge.explained import Explained, Split, explained
from trimtab.judge.signals.family import Target
from trimtab.judge.signals.feedback import limit
from trimtab.judge.watch import Watch, Zone

METRIC = "error"

FEWEST = 0.5
"""Errors may be so many times what is expected of the same rows; where they are fewer, labels echo
the answers."""


class Echoes:
    """Whether errors are fewer than can be, in cohorts whose labels have matured; where errors are
    watched at all."""

    def __init__(self, target: Target) -> None:
        self._target, self._limit = target, limit(target)
        found = (each for each in target.qualities if each.metric == METRIC)
        self._quality = next(found, None)

    def take(self, watch: Watch | None, split: Split) -> Watch:
        """Take in a cohort: its errors beside those that are expected of its rows."""
        zone = Zone(FEWEST * split.expected, None)
        spread = None if self._quality is None else self._quality.spread
        watch = watch or Watch((zone,), spread, self._limit)
        watch.take(split.start, [split.real * split.n], split.n, (zone,))
        return watch

    def verdicts(self, watch: Watch | None, splits: Sequence[Split]) -> tuple[Verdict, ...]:
        """`feedback:echoed` while labels agree with the answers too well."""
        if self._quality is None or watch is None or watch.since is None:
            return ()
        since = watch.since
        told = explained(self._quality, [split for split in splits if split.start >= since])
        return () if told is None else (self._echoed(watch, since, told),)

    def _echoed(self, watch: Watch, since: float, told: Explained) -> Verdict:
        return Verdict(
            signal="feedback:echoed",
            tier=budget.tier("feedback"),
            verdict="bad",
            reason=f"{told.real:.1%} of the labels say otherwise than the answers since "
            f"{describe.day(since)}, {told.expected:.1%} are expected of the very same rows: "
            "labels repeat the answers",
            release=self._target.release,
            scope={"labels": "echoed"},
            evidence_log10=watch.log10_evidence,
            threshold_log10=self._limit,
            estimate=told.real,
            reference=told.expected,
            n=watch.n,
            since=since,
        )
