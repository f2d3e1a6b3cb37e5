"""The causes, in the order in which they rank when as much is said for one as for another."""

from collections.abc import Callable

from trimtab.judge.causes.case import Opinion, Trouble
from trimtab.judge.causes.data import concept_drift, data_drift, upstream_break
from trimtab.judge.causes.people import hostile_client, label_fault
from trimtab.judge.causes.place import bad_worker, environment_misalignment, infrastructure
from trimtab.judge.causes.release import bad_release
from trimtab.judge.causes.skew import training_serving_skew

CAUSES: tuple[Callable[[Trouble], Opinion], ...] = (
    environment_misalignment,
    bad_worker,
    hostile_client,
    label_fault,
    training_serving_skew,
    upstream_break,
    infrastructure,
    concept_drift,
    data_drift,
    bad_release,
)
