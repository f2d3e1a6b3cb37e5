"""Releases of a data set: models that scikit-learn fits, with the profile a build would make."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from catalogue.tables import DataSet, Table
from trimtab.domain.names import Digest
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.release import EnvironmentLock, Golden, Manifest
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.judge.profile import Reference, build_profile

MODEL = "model"
Inputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Fitted:
    """A model, and the number of each word of its text columns; other words are -1."""

    codes: Mapping[str, Mapping[str | None, int]]
    trees: HistGradientBoostingClassifier

    def scores(self, inputs: Inputs) -> NDArray[np.float64]:
        """Probability of the positive class, row by row."""
        if not len(next(iter(inputs.values()))):
            return np.zeros(0)
        return np.asarray(self.trees.predict_proba(matrix(inputs, self.codes))[:, 1])


def matrix(inputs: Inputs, codes: Mapping[str, Mapping[str | None, int]]) -> NDArray[np.float64]:
    """What the trees are given: words by their numbers."""
    return np.column_stack(
        [
            [codes[name].get(word, -1) for word in column.tolist()] if name in codes else column
            for name, column in inputs.items()
        ]
    ).astype(np.float64)


def fit(rows: Table, seed: int = 0) -> Fitted:
    """A small forest of boosted trees, as the example of the flights has one."""
    codes = {
        name: {word: number for number, word in enumerate(sorted(set(column.tolist()) - {None}))}
        for name, column in rows.inputs.items()
        if column.dtype == object
    }
    trees = HistGradientBoostingClassifier(
        max_iter=60,
        learning_rate=0.1,
        max_leaf_nodes=12,
        min_samples_leaf=100,
        early_stopping=False,
        random_state=seed,
    )
    trees.fit(matrix(rows.inputs, codes), rows.truth)
    return Fitted(codes, trees)


@dataclass(frozen=True)
class Build:
    """A release as it runs: its model and what serving it costs.

    `failing` is the share of calls that end in an error, `slower` the factor of its time, and
    `unfair` what is added to the log-odds of rows of the `group` it names (column, category).
    """

    fitted: Fitted
    failing: float = 0.0
    slower: float = 1.0
    unfair: float = 0.0
    group: tuple[str, str] = ("", "")

    def scores(self, inputs: Inputs) -> NDArray[np.float64]:
        """What it answers."""
        scores = self.fitted.scores(inputs)
        if not self.unfair:
            return scores
        inside = np.asarray(inputs[self.group[0]] == self.group[1], dtype=np.bool_)
        moved = np.log(scores / (1.0 - scores)) + self.unfair * inside
        return np.asarray(1.0 / (1.0 + np.exp(-moved)))


@dataclass(frozen=True)
class Stored:
    """The bytes of a release: its manifest by the manifest's digest, and the profile."""

    digest: Digest
    blobs: Mapping[Digest, bytes] = field(repr=False)


def signature_of(rows: Table) -> Signature:
    """The contract of the models of a data set."""
    columns = tuple(
        Column(name, Datatype.BYTES if column.dtype == object else Datatype.FP64, nullable=True)
        for name, column in rows.inputs.items()
    )
    outputs = (Output("score", Datatype.FP64), Output("label", Datatype.BYTES))
    return Signature(columns, outputs, "binary", ("0", "1"))


def stored(data: DataSet, build: Build, number: int) -> Stored:
    """What `trimtab build` would register of a release."""
    profile = msgspec.json.encode(profiled(data, build))
    kept = _digest(profile)
    manifest = Manifest(
        model=MODEL,
        format="skops",
        model_path="model.skops",
        features=None,
        frame="columns",
        tree=_digest(f"{data.name} {number}".encode()),
        environment=EnvironmentLock("3.11.7", "linux", ()),
        data=None,
        signature=signature_of(data.reference),
        execution={},
        profile=kept,
        golden=Golden(_digest(b"golden"), 256, 1e-9, True),
        config={"number": str(number)},
    )
    # Keys in order, as the digest of a manifest demands.
    written = msgspec.json.encode(manifest, order="deterministic")
    return Stored(_digest(written), {_digest(written): written, kept: profile})


def profiled(data: DataSet, build: Build) -> ReferenceProfile:
    """The profile of the reference, by the release's own answers."""
    rows = data.reference
    return build_profile(
        Reference(
            signature_of(rows),
            rows.inputs,
            outputs_of(build.scores(rows.inputs)),
            words_of(rows.truth),
            data.times,
            groups=(data.roles.group,),
        )
    )


def outputs_of(scores: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Scores with their decisions."""
    return {"score": scores, "label": words_of(scores >= 0.5)}


def words_of(positive: NDArray[np.bool_]) -> NDArray[np.object_]:
    """Labels as text."""
    return np.where(positive, "1", "0").astype(object)


def _digest(data: bytes) -> Digest:
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")
