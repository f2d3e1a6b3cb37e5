"""What a label can say of a release's answers: one of its classes, or a number."""

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from trimtab.domain.plurals import many, some
from trimtab.domain.records import LABEL_COLUMNS
from trimtab.domain.signature import Signature
from trimtab.gateway.plan import Plan
from trimtab.ports.logsink import LabelBlock

MOST_NAMED = 5
"""Classes that a warning names."""
MOST_SHOWN = 40
"""Characters of a label that it shows."""
_LABEL, _KEY = ([name for name, _ in LABEL_COLUMNS].index(name) for name in ("label", "key"))


class Truths:
    """The labels that a release can be judged by.

    A class is known by its text. Files write whole numbers as `1.0` where one is missing, and truth
    values as `True`: such a text, and a truth value where classes are 0 and 1, means the class."""

    __slots__ = ("_classes", "_known", "_name", "_numbers", "_task")

    def __init__(self, name: str, signature: Signature) -> None:
        self._name = name
        self._task = signature.task
        self._classes = signature.classes
        self._known = frozenset(signature.classes)
        counted = Counter(map(_number, signature.classes))
        self._numbers = {
            number: text
            for text in signature.classes
            if counted[number := _number(text)] == 1 and not math.isnan(number)
        }

    def spelt(self, label: str | None) -> str | None:
        """A label as the release spells it; what is none of its classes stays as it is."""
        if label is None or label in self._known or not self._numbers:
            return label
        return self._numbers.get(_number(label), label)

    def doubt(self, labels: Sequence[str | None]) -> tuple[int, str]:
        """How many labels the release cannot be judged by, and that in words."""
        odd = Counter(label for label in labels if not self._usable(label))
        if not odd:
            return 0, ""
        (label, _), n = odd.most_common(1)[0], odd.total()
        seen = "null" if label is None else repr(label[:MOST_SHOWN])
        wrong = "a wrong answer each" if self._task == "multiclass" else "but no evidence"
        of = f"{n:,} of {many(len(labels), 'label')}, such as {seen}"
        return n, f"{of}, {self._lack}: stored, {wrong}"

    def _usable(self, label: str | None) -> bool:
        if self._classes:
            return label in self._known
        return self._task != "regression" or (label is not None and _finite(label))

    @property
    def _lack(self) -> str:
        if not self._classes:
            return f"no number, as {self._name} predicts one"
        return f"none of the classes {some(self._classes, MOST_NAMED)} of {self._name}"


@lru_cache(maxsize=16)
def truths_of(plan: Plan) -> Truths:
    """What labels can say of a release."""
    return Truths(plan.name, plan.signature)


def heard(block: LabelBlock, plan: Plan | None, keyed: bool) -> tuple[LabelBlock, dict[str, Any]]:
    """Labels as the release that answers spells them, and what their sender is told.

    `keyed` tells whether the deployment has a business key: a label by one finds no answer
    otherwise. Without such a release nothing is known of them, and nothing said."""
    told: dict[str, Any] = {"accepted": len(block)}
    if plan is None:
        return block, told
    truths = truths_of(plan)
    columns = [list(column) for column in block.columns]
    columns[_LABEL] = [truths.spelt(label) for label in columns[_LABEL]]
    lost = 0 if keyed else sum(key is not None for key in columns[_KEY])
    unusable, warning = (lost, _lost(lost, len(block))) if lost else truths.doubt(columns[_LABEL])
    if unusable:
        told |= {"unusable": unusable, "warning": warning}
    return LabelBlock(block.deployment, columns), told


def _lost(lost: int, all_: int) -> str:
    named = "is" if lost == 1 else "are"
    of = f"{lost:,} of {many(all_, 'label')} {named} by key"
    return f"{of}, and the deployment has no monitor.key: stored, but no evidence"


def _finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _number(text: str) -> float:
    """The number that a text means, truth values being 1 and 0; NaN for none."""
    low = text.lower()
    if low in ("true", "false"):
        return float(low == "true")
    try:
        return float(text)
    except ValueError:
        return math.nan
