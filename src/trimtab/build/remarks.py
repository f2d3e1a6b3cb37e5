"""What a build says of a model and its reference that else nobody would see until it serves."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from trimtab.build.reference import Reference
from trimtab.domain.names import meant
from trimtab.domain.plurals import many, some
from trimtab.domain.profile import QualityProfile

MOST_NAMED = 20
MOST_WARNINGS = 3
LONGEST_WARNING = 300
CHANCE = 0.5
"""The area under the ROC curve of a score that knows nothing."""
SETTINGS: Mapping[str, tuple[str, ...]] = {
    "allow_nan": ("true", "false"),
    "output": (),
    "skops_trusted": (),
    "task": ("binary", "multiclass", "regression", "other"),
}
"""Settings of a release that its worker reads, with the values that they may have."""


def of_settings(config: Collection[str]) -> Iterator[str]:
    """Settings that are only kept with the release, among which a misspelled one would be."""
    unread = [name for name in config if name not in SETTINGS]
    if unread:
        told = f"settings: nothing in trimtab reads {some(unread, MOST_NAMED)}"
        yield f"{told}; {meant(unread[0], SETTINGS, 'settings')}"


def of_labels(reference: Reference) -> Iterator[str]:
    """Why labels say nothing of the quality, where they do not."""
    if reference.labels is not None and all(label is None for label in reference.labels):
        yield "labels: not one in the reference, so there is no quality to watch"


def of_loading(warnings: Sequence[str]) -> Iterator[str]:
    """What libraries said while they loaded the model, as that another version wrote it."""
    for each in warnings[:MOST_WARNINGS]:
        line = " ".join(each.split())
        yield f"loading it warns: {line[:LONGEST_WARNING]}{' …' * (len(line) > LONGEST_WARNING)}"
    if len(warnings) > MOST_WARNINGS:
        yield f"loading it warns: {many(len(warnings) - MOST_WARNINGS, 'time')} more"


def of_model(
    reference: Reference | None, task: str, classes: Collection[str], fitted: Collection[str]
) -> Iterator[str]:
    """What the model lacks, and what it does without. `fitted` are the columns that it was fitted
    on, none where they are not known or feature code makes them."""
    idle = () if reference is None else _unfitted(reference, fitted)
    if idle:
        yield (
            f"not fitted on: {some(idle, MOST_NAMED)}; requests have to hold them all the same, so "
            "write the reference without them if nobody needs them, or say by --key (key in "
            "trimtab.toml) which of them names a row"
        )
    if task == "other" and classes:
        yield (
            "labels: a classifier without predict_proba, so there is no quality to watch; "
            "CalibratedClassifierCV of scikit-learn gives it one"
        )
    elif task == "other" and reference is not None and reference.labels is not None:
        yield (
            "labels: nothing says what the outputs are, so there is no quality to watch; if they "
            "are one number, say so by --set task=regression, or in trimtab.toml by "
            'config = { task = "regression" }'
        )


def of_quality(quality: Iterable[QualityProfile], classes: Sequence[str]) -> Iterator[str]:
    """That a score seems to be of the other class: a model that only numbers its classes gives the
    probability of the one that was numbered 1, whatever it is called."""
    if any(each.metric == "roc_auc" and each.upper < CHANCE for each in quality):
        other, positive = classes
        yield (
            f"labels: the score is higher for {other!r} than for {positive!r}, so it may be the "
            f"probability of {other!r}: --positive {other}"
        )


def _unfitted(reference: Reference, fitted: Collection[str]) -> tuple[str, ...]:
    """Inputs that are neither segments nor groups, and that the model does without."""
    names = [column.name for column in reference.columns]
    if not fitted or not set(fitted) <= set(names):
        return ()
    meant = {*fitted, *reference.segments, *reference.groups}
    return tuple(name for name in names if name not in meant)
