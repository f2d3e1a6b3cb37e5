"""A deployment on real rows: without any change, in the order of time, and with faults."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from judgement.faults import Fault
from judgement.streams import Stream
from judgement.watching import BUDGET, Deployment, Raised, Watched, over
from trimtab.judge.budget import YEAR

HOURS = round(YEAR / 3600.0)


@dataclass(frozen=True)
class Injected:
    """Faulty rows that come from row `since` of the null on, and what that does to the error."""

    fault: Fault
    since: int
    rows: pd.DataFrame
    harm: float


@dataclass(frozen=True)
class Case:
    """What is watched. `answer` gives rows the answers of the model that the faults are put to.

    `stream` has the reference and the live rows in their order; nulls are drawn from `pool`, as
    many of its rows as reference as `known` says. `block` rows make an hour, except where live rows
    have a time. A fault comes after `warm` sound rows and lasts `patience`.
    """

    stream: Stream
    answer: Callable[[pd.DataFrame], pd.DataFrame] = field(repr=False)
    pool: pd.DataFrame = field(repr=False)
    known: int
    faults: tuple[Fault, ...]
    block: int
    warm: int
    patience: int
    groups: tuple[str, ...] = ()

    @property
    def yearly(self) -> int:
        """Rows of a year."""
        return HOURS * self.block

    def null(self, seed: int, rows: int = 0) -> Stream:
        """Reference and live rows in random order: nothing changes. With `rows`, the live ones
        come in new orders until there are so many."""
        mixed = self.pool.sample(frac=1.0, random_state=seed, ignore_index=True)
        live = mixed.iloc[self.known :].reset_index(drop=True)
        passes = [live]
        while sum(map(len, passes)) < rows:
            passes.append(live.sample(frac=1.0, random_state=1000 * seed + len(passes)))
        whole = pd.concat(passes, ignore_index=True)
        return replace(
            self.stream, reference=mixed.iloc[: self.known], live=whole.iloc[: rows or len(whole)]
        )

    @cached_property
    def sound(self) -> Stream:
        """The null that faults are put into."""
        most = max(len(self.pool) - self.known, 3 * (self.warm + self.patience))
        return self.null(0, most)

    def times(self, count: int, seed: int) -> list[int]:
        """Rows of the null at which faults begin, each the first of an hour; rising."""
        hours = np.arange(self.warm, len(self.sound.live) - self.patience) // self.block
        chosen = np.random.default_rng(seed).choice(np.unique(hours), count, replace=False)
        return [int(hour) * self.block for hour in np.sort(chosen)]

    def injected(self, fault: Fault, since: int) -> Injected:
        """The fault on the rows of the null from `since` on."""
        late = self.sound.live.iloc[since : since + self.patience].reset_index(drop=True)
        broken = fault.change(late, np.random.default_rng(since))
        if fault.column:
            broken = self.answer(broken)
        return Injected(fault, since, broken, wrong(broken) - wrong(late))

    def deployment(self, stream: Stream, budget: float = BUDGET) -> Deployment:
        """trimtab against the stream's reference."""
        return Deployment(stream, self.block, self.groups, budget)

    def over(self, stream: Stream, budget: float = BUDGET) -> list[Raised]:
        """Everything that trimtab raises over the stream."""
        return over(self.deployment(stream, budget), stream.live)

    def trial(self, since: int, budget: float) -> list[list[Raised]]:
        """What trimtab raises after each fault that begins at a row, after `warm` sound ones.

        Rows count from the beginning of the fault, and end with the first page."""
        deployment = self.deployment(self.sound, budget)
        watched = deployment.begin()
        for _ in deployment.watch(watched, self.sound.live.iloc[since - self.warm : since]):
            pass
        faulty = (self.injected(fault, since) for fault in self.faults)
        return [paged(deployment, watched.copy(), each) for each in faulty]


def paged(deployment: Deployment, watched: Watched, injected: Injected) -> list[Raised]:
    """What is raised over faulty rows, up to the first page."""
    made: list[Raised] = []
    for _, raised in deployment.watch(watched, injected.rows):
        made += raised
        if any(each.tier == "page" for each in raised):
            break
    return made


def wrong(rows: pd.DataFrame) -> float:
    """The error."""
    return float((rows["y_true"] != rows["y_pred"]).mean())
