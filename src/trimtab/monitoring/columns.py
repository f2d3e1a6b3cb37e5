"""Which column of a user's tables is what, and whether reference and live fit together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from trimtab import errors
from trimtab.domain.names import repeated
from trimtab.domain.profile import ReferenceProfile

Kind = Literal["number", "text", "label"]
"""A `label` is a class of any type, known by its text."""
HINT = "python -m pydoc trimtab.monitor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The meaning of columns, as the caller says it. None is a column that there is not.

    `inputs` empty means every column that has no other meaning; `ignore` names columns that mean
    nothing.
    """

    target: str | None = None
    score: str | None = None
    prediction: str | None = None
    time: str | None = None
    segments: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Roles:
    """What is read of both tables. `unwatched` says of columns why they are not judged.

    `target` and `answer` (score or prediction) are None where the *live* table has none, `labels`
    (the target) where the reference has none that is to be read.
    """

    inputs: Mapping[str, Kind]
    target: str | None
    answer: str | None
    time: str | None
    segments: tuple[str, ...]
    groups: tuple[str, ...]
    labels: str | None
    unwatched: Mapping[str, str]
    notes: tuple[str, ...]

    @property
    def read(self) -> list[str]:
        """The columns of the live table that are counted."""
        extra = [name for name in (self.target, self.answer, self.time) if name is not None]
        return list(dict.fromkeys([*self.inputs, *extra]))


def roles(asked: Asked, reference: pa.Schema, live: pa.Schema) -> Roles:
    """Check both schemas against what was asked. Raises `Usage` TT-910."""
    _check_asked(asked, reference, live)
    meant = {asked.target, asked.score, asked.prediction, asked.time, *asked.ignore}
    wanted = asked.inputs or [name for name in reference.names if name not in meant]
    inputs: dict[str, Kind] = {}
    unwatched: dict[str, str] = {}
    for name in wanted:
        kind = _fitting(name, reference, live) if name else None
        if not name:
            unwatched[name] = "a column without a name, as pandas writes its index, is not watched"
        elif kind is None:
            unwatched[name] = f"columns of type {reference.field(name).type} are not watched"
        else:
            inputs[name] = kind
    if not inputs and asked.score is None and asked.prediction is None:
        raise unusable("reference", "no column is left to watch")
    _check_segments(asked.segments, inputs)
    _check_groups(asked.groups, inputs)
    answer = asked.score or asked.prediction
    labels = asked.target if asked.target in reference.names else None
    return Roles(
        inputs,
        labels if labels in live.names else None,
        answer,
        asked.time,
        asked.segments,
        asked.groups,
        labels,
        unwatched,
        _notes(asked, reference, live),
    )


def roles_against(asked: Asked, profile: ReferenceProfile, live: pa.Schema) -> Roles:
    """The roles where a release's profile is the reference. Raises `Usage` TT-910."""
    inputs: dict[str, Kind] = {}
    for column in profile.inputs:
        name = column.origin
        _present(name, "live", live)
        kind: Kind = "text" if column.view or column.kind == "categorical" else "number"
        found = live.field(name).type
        if kind_of(found) != kind and not pa.types.is_null(found):
            raise unusable("live", f"column {name!r} is of type {found}, not {kind}")
        inputs[name] = kind
    answer = asked.score or asked.prediction
    for given in (answer, asked.time):
        if given is not None:
            _present(given, "live", live)
    target = asked.target if asked.target in live.names else None
    notes = [] if target == asked.target else [f"live has no column {asked.target!r}"]
    return Roles(
        inputs,
        target,
        answer,
        asked.time,
        profile.segments,
        profile.group_columns,
        None,
        {},
        tuple(notes),
    )


def kind_of(datatype: pa.DataType) -> Kind | None:
    """How values of an Arrow type are judged; None when they are not."""
    if pa.types.is_dictionary(datatype):
        return kind_of(datatype.value_type)
    if is_text(datatype):
        return "text"
    numeric = (
        pa.types.is_integer(datatype)
        or pa.types.is_floating(datatype)
        or pa.types.is_boolean(datatype)
        or pa.types.is_decimal(datatype)
    )
    return "number" if numeric else None


def is_text(datatype: pa.DataType) -> bool:
    """Whether values are texts in one of Arrow's layouts."""
    return (
        pa.types.is_string(datatype)
        or pa.types.is_large_string(datatype)
        or pa.types.is_string_view(datatype)
    )


def unusable(what: str, problem: str, hint: str = HINT) -> errors.Usage:
    """The error for a table that cannot be monitored."""
    return errors.Usage(
        errors.BAD_DATA, "monitor", what, problem, unchanged="nothing was judged", hint=hint
    )


def _check_asked(asked: Asked, reference: pa.Schema, live: pa.Schema) -> None:
    if asked.score is not None and asked.prediction is not None:
        raise unusable("score", "score and prediction were both given", "give the one that serves")
    _check_twins("reference", reference)
    _check_twins("live", live)
    answers = [name for name in (asked.score, asked.prediction) if name is not None]
    for known in (*answers, *asked.segments, *asked.inputs):
        _present(known, "reference", reference)
        _present(known, "live", live)
    for name in asked.inputs:
        if name in (*answers, asked.target):
            raise unusable("inputs", f"{name!r} is the answer or the truth, and no input")
    for name in answers:
        _check_answer(name, name == asked.score, reference, live)
    if asked.time is not None:
        _present(asked.time, "live", live)
    if asked.target is not None and asked.target not in {*reference.names, *live.names}:
        _present(asked.target, "reference", reference)


def _check_twins(what: str, schema: pa.Schema) -> None:
    for name in repeated(schema.names):
        raise unusable(what, f"it has two columns {name!r}")


def _check_answer(name: str, score: bool, reference: pa.Schema, live: pa.Schema) -> None:
    kinds = [kind_of(schema.field(name).type) for schema in (reference, live)]
    if score and kinds != ["number", "number"]:
        raise unusable(
            "score", f"{name!r} holds no numbers", f"prediction={name!r} if it is a class"
        )
    if None in kinds or kinds[0] != kinds[1]:
        told = " and ".join(str(schema.field(name).type) for schema in (reference, live))
        raise unusable("live", f"column {name!r} is of two types, or of no known one: {told}")


def _present(name: str, what: str, schema: pa.Schema) -> None:
    if name not in schema.names:
        raise unusable(what, f"it has no column {name!r}; it has {', '.join(schema.names)}")


def _fitting(name: str, reference: pa.Schema, live: pa.Schema) -> Kind | None:
    """The kind of an input in both tables; a column without any value fits everything."""
    _present(name, "live", live)
    ours, theirs = reference.field(name).type, live.field(name).type
    kind, found = kind_of(ours), kind_of(theirs)
    if kind is not None and found != kind and not pa.types.is_null(theirs):
        raise unusable(
            "live",
            f"column {name!r} is of type {theirs}, in the reference of type {ours}",
            f"convert it, or leave it out with ignore=[{name!r}]",
        )
    return kind


def _check_segments(segments: Sequence[str], inputs: Mapping[str, Kind]) -> None:
    for name in segments:
        if inputs.get(name) != "text":
            raise unusable(
                "segments", f"{name!r} is no text input: a segment is a value of a text column"
            )


def _check_groups(groups: Sequence[str], inputs: Mapping[str, Kind]) -> None:
    for name in groups:
        if name not in inputs:
            raise unusable("groups", f"{name!r} is no input: a group is a value of one")


def _notes(asked: Asked, reference: pa.Schema, live: pa.Schema) -> tuple[str, ...]:
    notes = []
    known = {*reference.names, asked.time, asked.target, ""}
    extra = [name for name in live.names if name not in known]
    if extra:
        notes.append(f"not in the reference, so not watched: {', '.join(extra)}")
    if asked.target is not None and asked.target not in live.names:
        notes.append(f"live has no column {asked.target!r}: quality can only be estimated")
    elif asked.target is not None and asked.target not in reference.names:
        notes.append(f"the reference has no column {asked.target!r}: quality cannot be judged")
    return tuple(notes)
