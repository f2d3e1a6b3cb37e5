"""What the gRPC listener says of itself and of the models: values to messages.

Field numbers are those of the Open Inference Protocol, and of Triton's extensions of it for
ModelConfig (`model_config.proto`) and ModelStatistics.
"""

from collections.abc import Mapping
from functools import lru_cache

from trimtab import __version__
from trimtab.gateway.counted import Counted
from trimtab.gateway.plan import PLATFORM, Plan
from trimtab.gateway.protobuf import integer, integers, nested, text

EXTENSIONS = ("model_configuration", "schedule_policy", "statistics", "parameters")

_DATA_TYPES = {
    name: number
    for number, name in enumerate(
        (
            *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
            *("FP16", "FP32", "FP64", "BYTES"),
        ),
        start=1,
    )
}
"""Triton's numbers of the datatypes."""


def ready(value: bool) -> bytes:
    """A response whose only field is a truth value."""
    return integer(1, value)


@lru_cache(maxsize=1)
def server() -> bytes:
    """The ServerMetadataResponse."""
    extensions = b"".join(text(3, name) for name in EXTENSIONS)
    return text(1, "trimtab") + text(2, __version__) + extensions


@lru_cache(maxsize=256)
def metadata(plan: Plan, deployment: str, versions: tuple[int, ...]) -> bytes:
    """The ModelMetadataResponse of a release in a deployment."""
    head = text(1, deployment) + b"".join(text(2, str(number)) for number in versions)
    inputs = (_tensor(4, column.name, column.wire, (-1, *column.shape)) for column in plan.columns)
    outputs = (_tensor(5, o.name, o.datatype, (-1, *o.shape)) for o in plan.outputs)
    properties = _entries(6, {"release": plan.name, "digest": plan.release})
    return b"".join((head, text(3, PLATFORM), *inputs, *outputs, properties))


def _tensor(number: int, name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    return nested(number, text(1, name) + text(2, datatype) + integers(3, shape))


def _entries(number: int, values: Mapping[str, str]) -> bytes:
    """A map of texts."""
    return b"".join(nested(number, text(1, key) + text(2, each)) for key, each in values.items())


@lru_cache(maxsize=256)
def config(plan: Plan, deployment: str) -> bytes:
    """The ModelConfigResponse of a release in a deployment.

    `max_batch_size` is 0, which says that the shapes are complete: their first dimension is rows.
    """
    inputs = (
        nested(5, _described(column.name, column.wire) + integers(4, (-1, *column.shape)))
        for column in plan.columns
    )
    outputs = (
        nested(6, _described(output.name, output.datatype) + integers(3, (-1, *output.shape)))
        for output in plan.outputs
    )
    names = text(1, deployment) + text(2, PLATFORM) + text(17, "trimtab")
    return nested(1, b"".join((names, *inputs, *outputs)))


def _described(name: str, datatype: str) -> bytes:
    return text(1, name) + integer(2, _DATA_TYPES[datatype])


def statistics(counted: Mapping[str, Mapping[str, Counted]]) -> bytes:
    """The ModelStatisticsResponse of counts by deployment and release."""
    return b"".join(
        nested(1, _statistics(deployment, release, counts))
        for deployment, releases in counted.items()
        for release, counts in releases.items()
    )


def _statistics(deployment: str, release: str, counts: Counted) -> bytes:
    """A ModelStatistics, with rows as inferences and batches as executions."""
    durations = b"".join(
        nested(number, integer(1, count) + integer(2, nanoseconds))
        for number, (_, count, nanoseconds) in enumerate(counts.spent, start=1)
    )
    names = text(1, deployment) + text(2, release.rpartition("@")[2])
    return names + integer(4, counts.rows) + integer(5, counts.batches) + nested(6, durations)
