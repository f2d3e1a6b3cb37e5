"""The reference of a user's own: its signature and profile, read a column at a time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.build.memory import Array, viewed
from trimtab.build.reference import texts
from trimtab.domain.profile import ColumnProfile, ReferenceProfile
from trimtab.domain.records import CodedTexts, Floats, Texts
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.judge import profile as judged
from trimtab.judge.column_profile import Column as Values
from trimtab.judge.own_loss import OwnLoss
from trimtab.monitoring.arrays import coded, floats
from trimtab.monitoring.called_loss import CalledLoss
from trimtab.monitoring.columns import Kind, Roles, unusable
from trimtab.monitoring.sources import BATCH_ROWS, Source
from trimtab.monitoring.timeline import read_times

MOST_CLASSES = 20
TRUE = ("1", "true", "True", "yes")


@dataclass(frozen=True, slots=True)
class Known:
    """What live data are judged against. `unwatched` are inputs that were left out, and why."""

    signature: Signature
    profile: ReferenceProfile
    unwatched: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the caller says of the answers. `binary` means that they are probabilities, of which
    `metrics` will be asked for, all when None."""

    binary: bool = False
    positive: str | None = None
    threshold: float = 0.5
    loss: OwnLoss | CalledLoss | None = None
    metrics: tuple[str, ...] | None = None


def read_known(source: Source, roles: Roles, meaning: Meaning) -> Known:
    """Read the reference. Raises `Usage` TT-910 when it cannot be one."""
    time = None
    if roles.time is not None and roles.time in source.schema.names:
        time = read_times(_column(source, roles.time), "reference", roles.time)
        if np.isnan(time).all():
            raise unusable("reference", f"every value of {roles.time!r} is missing")
    inputs = {name: _input(source, name, kind) for name, kind in roles.inputs.items()}
    read = _answers(source, roles, meaning, inputs)
    groups = tuple(name for name in roles.groups if name in inputs)
    read = replace(read, time=time, segments=roles.segments, groups=groups)
    read = replace(read, loss=meaning.loss, metrics=meaning.metrics)
    read = replace(read, signature=_with_inputs(read.signature, roles))
    if meaning.loss is not None and read.label is not None:
        _check_loss(meaning.loss, read.signature)
    profile = judged.build_profile(read)
    listed = [column for column in profile.inputs if column.origin in inputs]
    described = {column.origin: _described(column) for column in listed}
    signature = msgspec.structs.replace(read.signature, inputs=tuple(described.values()))
    profile = msgspec.structs.replace(profile, inputs=tuple(listed))
    return Known(signature, profile, roles.unwatched)


def _with_inputs(signature: Signature, roles: Roles) -> Signature:
    """The signature with inputs as they are read, before they are described."""
    kinds = {"number": Datatype.FP64, "text": Datatype.BYTES, "label": Datatype.BYTES}
    inputs = tuple(Column(name, kinds[kind]) for name, kind in roles.inputs.items())
    return msgspec.structs.replace(signature, inputs=inputs)


def _check_loss(loss: OwnLoss | CalledLoss, signature: Signature) -> None:
    problem = loss.unfit(signature)
    if problem:
        raise unusable("loss", problem)


def _column(source: Source, name: str) -> Array:
    """A whole column."""
    whole = -(-source.rows // BATCH_ROWS)
    batches = [chunk.batch for chunk in source.chunks([name], whole)]
    return pa.Table.from_batches(batches).column(name).combine_chunks()


def _input(source: Source, name: str, kind: Kind) -> Values:
    column = _column(source, name)
    if kind == "number":
        return floats(column)
    found = coded(column)
    # A dictionary of the caller's own may hold a text twice.
    different: Array = found.texts.unique()
    place: Array = pc.index_in(found.texts, value_set=different)
    places = np.append(viewed(place), -1).astype(np.int64)
    return CodedTexts(tuple(different.to_pylist()), places.take(found.places))


def _described(profile: ColumnProfile) -> Column:
    if profile.view:
        return Column(profile.source, Datatype.BYTES, nullable=profile.missing > 0.0)
    text = profile.kind == "categorical"
    return Column(
        profile.name,
        Datatype.BYTES if text else Datatype.FP64,
        nullable=profile.missing > 0.0,
        minimum=profile.minimum,
        maximum=profile.maximum,
        categories=profile.categories if text else None,
    )


def _answers(
    source: Source, roles: Roles, meaning: Meaning, inputs: Mapping[str, Values]
) -> judged.Reference:
    """Inputs, answers and truth of the reference. Without inputs a column without a name keeps the
    number of rows."""
    label = None
    if roles.labels is not None:
        label = texts(pa.chunked_array([_column(source, roles.labels)]))
    rows = inputs or {"": np.zeros(source.rows)}
    if roles.answer is None:
        return judged.Reference(Signature((), ()), rows, {}, None)
    column = _column(source, roles.answer)
    signature = _signature(column, label, meaning)
    if signature.task == "multiclass":
        return judged.Reference(signature, rows, {"label": coded_objects(column)}, label)
    values = floats(column)
    _check_answer(roles.answer, values, signature.task)
    name = "score" if signature.task == "binary" else "prediction"
    return judged.Reference(signature, rows, {name: values}, label)


def coded_objects(column: Array) -> Texts:
    """Class labels as texts, whatever their type; None where missing."""
    return texts(pa.chunked_array([column]))


def _signature(column: Array, label: Texts | None, meaning: Meaning) -> Signature:
    if meaning.binary:
        classes = _classes(label, meaning.positive)
        outputs = (Output("score", Datatype.FP64), Output("label", Datatype.BYTES))
        return Signature((), outputs, "binary", classes, meaning.threshold)
    if pa.types.is_floating(column.type) or _many_numbers(column):
        return Signature((), (Output("prediction", Datatype.FP64),), "regression")
    found = coded_objects(column)
    classes = tuple(sorted({str(text) for text in found if text is not None}))
    return Signature((), (Output("label", Datatype.BYTES),), "multiclass", classes)


def _many_numbers(column: Array) -> bool:
    return pa.types.is_integer(column.type) and len(column.unique()) > MOST_CLASSES


def _classes(label: Texts | None, positive: str | None) -> tuple[str, ...]:
    """The two labels, the positive one last; without labels nobody has to say."""
    if label is None:
        return ("0", "1")
    found = sorted({str(text) for text in label if text is not None})
    if len(found) != 2:
        raise unusable(
            "target", f"a score needs two labels, and there are {len(found)}: {found[:5]}"
        )
    wanted = positive or next((text for text in found if text in TRUE), None)
    if wanted not in found:
        raise unusable("positive", f"which of {found} is positive?", f"positive={found[-1]!r}")
    return tuple(sorted(found, key=lambda text: text == wanted))


def _check_answer(name: str, values: Floats, task: str) -> None:
    known = values[~np.isnan(values)]
    if not known.size:
        raise unusable("reference", f"every value of {name!r} is missing")
    if task == "binary" and (known.min() < 0.0 or known.max() > 1.0):
        raise unusable(
            "reference",
            f"{name!r} holds {known.min():g} to {known.max():g}, and a score is in [0, 1]",
            f"prediction={name!r} if it is a predicted number",
        )
