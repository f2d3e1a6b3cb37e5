"""Proving that a release can be made to behave again as it did, from its manifest alone."""

import json
import tempfile
import time
from pathlib import Path

import msgspec

from trimtab import errors
from trimtab.build.request import Tools
from trimtab.domain.names import Digest
from trimtab.domain.release import Release
from trimtab.domain.reproduction import Behaviour, Integrity, Reproduction


def reproduce(release: Release, checkout: Path, tools: Tools) -> Reproduction:
    """Verify the bytes, build a private environment from the lock, replay the golden set.

    `checkout` is a fresh folder that holds the release's files and `worker.json`.
    """
    started = time.monotonic()
    result = Reproduction(release=release.name, integrity="ok")
    result = _with_environment(result, release, checkout, tools)
    return msgspec.structs.replace(result, seconds=time.monotonic() - started)


def integrity(release: Release, tools: Tools) -> tuple[Integrity, tuple[str, ...]]:
    """Read every blob that the release refers to; each read verifies its digest."""
    manifest = release.manifest
    problems: list[errors.Integrity] = []
    digests: list[Digest] = [release.digest, manifest.tree, manifest.golden.blob]
    digests += [manifest.profile] if manifest.profile else []
    try:
        digests += [entry.digest for entry in tools.blobs.tree(manifest.tree).entries]
    except errors.Integrity as problem:
        problems.append(problem)
    for digest in digests:
        try:
            tools.blobs.get(digest)
        except errors.Integrity as problem:
            problems.append(problem)
    word: Integrity = "ok"
    if problems:
        tampered = any(problem.code == errors.TAMPERED for problem in problems)
        word = "tampered" if tampered else "missing"
    return word, tuple(sorted({str(problem) for problem in problems}))


def _with_environment(
    result: Reproduction, release: Release, checkout: Path, tools: Tools
) -> Reproduction:
    with tempfile.TemporaryDirectory(dir=tools.scratch, prefix="reproduce-") as scratch:
        try:
            python = tools.environments.rebuild(
                release.manifest.environment, Path(scratch) / "environment"
            )
        except errors.TrimtabError as problem:
            return msgspec.structs.replace(
                result, environment="unbuildable", problems=(str(problem), *problem.causes())
            )
        tools.narrate("environment rebuilt from its lock")
        rebuilt = msgspec.structs.replace(result, environment="identical")
        return _with_behaviour(rebuilt, release, checkout, python, tools)


def _with_behaviour(
    result: Reproduction, release: Release, checkout: Path, python: Path, tools: Tools
) -> Reproduction:
    arguments = ["verify", "--config", str(checkout / "worker.json")]
    try:
        answer = json.loads(tools.runner.run(python, arguments, release.manifest.execution))
    except errors.TrimtabError as problem:
        return msgspec.structs.replace(result, behaviour="divergent", problems=(str(problem),))
    same: Behaviour = "bit_identical" if answer["difference"] == 0.0 else "within_tolerance"
    behaviour: Behaviour = same if answer["within_tolerance"] else "divergent"
    return msgspec.structs.replace(
        result,
        behaviour=behaviour,
        max_difference=answer["difference"],
        tolerance=answer["tolerance"],
        problems=tuple(answer["problems"]),
    )
