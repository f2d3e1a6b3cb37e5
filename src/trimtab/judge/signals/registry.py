"""The families, in the order in which they close and speak: `upstream`, `crowded` and
`multivariate` tell the others which feeds are broken."""

from typing import Any

from trimtab.judge.signals.answers import Answers
from trimtab.judge.signals.bias import Bias
from trimtab.judge.signals.calibration import Calibration
from trimtab.judge.signals.callers import Callers
from trimtab.judge.signals.crowded import Crowded
from trimtab.judge.signals.estimate import Estimated
from trimtab.judge.signals.family import Family
from trimtab.judge.signals.feedback import Feedback
from trimtab.judge.signals.inputs import Inputs
from trimtab.judge.signals.labels import Labels
from trimtab.judge.signals.multivariate import Multivariate
from trimtab.judge.signals.parity import Parity
from trimtab.judge.signals.prediction import Prediction
from trimtab.judge.signals.quality import Quality
from trimtab.judge.signals.segments import Segments
from trimtab.judge.signals.service import Service
from trimtab.judge.signals.unlabelled import Unlabelled
from trimtab.judge.signals.upstream import Upstream
from trimtab.judge.signals.workers import Workers

FAMILIES: tuple[type[Family[Any, Any]], ...] = (
    Upstream,
    Crowded,
    Multivariate,
    Callers,
    Service,
    Workers,
    Answers,
    Quality,
    Segments,
    Estimated,
    Calibration,
    Bias,
    Labels,
    Unlabelled,
    Feedback,
    Parity,
    Prediction,
    Inputs,
)

SERVED: dict[type[Family[Any, Any]], tuple[str, ...]] = {
    Callers: ("callers",),
    Service: ("errors", "latency"),
    Workers: ("workers",),
    Answers: ("workers",),
    Labels: ("labels",),
    Unlabelled: ("labels",),
    Feedback: ("feedback",),
    Parity: ("parity",),
}
"""Families of which a table says nothing, and their groups of signals: it does not tell how
requests ended, who asked or answered, or how labels came, and has no second value to compare."""
