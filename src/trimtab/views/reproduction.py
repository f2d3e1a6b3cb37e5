"""What `reproduce` found, as it is shown."""

from trimtab.domain.reproduction import Reproduction
from trimtab.views.shapes import ReplayView, ReproduceView


def build_reproduction(found: Reproduction) -> ReproduceView:
    """The shape of a reproduction."""
    return ReproduceView(
        release=found.release,
        integrity=found.integrity,
        environment=found.environment,
        behaviour=found.behaviour,
        max_difference=found.max_difference,
        tolerance=found.tolerance,
        retrain=found.retrain,
        ok=found.ok,
        problems=found.problems,
        seconds=found.seconds,
        engines=tuple(
            ReplayView(each.engine, each.behaviour, each.max_difference, each.tolerance)
            for each in found.engines
        ),
    )
