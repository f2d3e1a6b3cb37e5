"""Proving that a release can be made to behave again as it did, from its manifest alone."""

import json
import time
from pathlib import Path

import msgspec

from trimtab import errors
from trimtab.build.request import Tools
from trimtab.build.scratch import scratch
from trimtab.domain.names import Digest
from trimtab.domain.plurals import many
from trimtab.domain.release import Release
from trimtab.domain.reproduction import Behaviour, Integrity, Replay, Reproduction

SERVED = "worker.json"


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
            tools.blobs.check(digest)
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
    lock = release.manifest.environment
    packages = many(len(lock.packages), "package")
    tools.narrate(f"environment: {packages}, fetched anew and installed, which may take minutes")
    with scratch(tools.scratch, "reproduce-") as folder:
        try:
            python = tools.environments.rebuild(lock, folder / "environment")
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
    """Replay the golden set by every engine of the release, first by the one that serves."""
    if not release.manifest.golden.rows:
        why = "it was built without reference data, so there are no answers to compare with"
        return msgspec.structs.replace(result, problems=(why,))
    told = [checkout / SERVED]
    if release.manifest.compiled is not None:
        told.append(_told_native(release, checkout))
    engines, problems = [], []
    for config, engine in zip(told, (release.manifest.engine, "native"), strict=False):
        replay, differing = _replayed(config, engine, release, python, tools)
        engines.append(replay)
        problems += differing
    words: list[Behaviour] = ["bit_identical", "within_tolerance", "divergent"]
    return msgspec.structs.replace(
        result,
        behaviour=max((each.behaviour for each in engines), key=words.index),
        max_difference=engines[0].max_difference,
        tolerance=engines[0].tolerance,
        problems=tuple(problems),
        engines=tuple(engines),
    )


def _told_native(release: Release, checkout: Path) -> Path:
    """A second `worker.json` of the checkout, by which the model itself answers."""
    told = json.loads((checkout / SERVED).read_bytes())
    told["engine"] = None
    told["golden"]["tolerance"] = release.manifest.golden.tolerance
    path = checkout / "native.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    return path


def _replayed(
    config: Path, engine: str, release: Release, python: Path, tools: Tools
) -> tuple[Replay, list[str]]:
    """What one engine makes of the golden set, and what differed."""
    arguments = ["verify", "--config", str(config)]
    try:
        answer = json.loads(tools.runner.run(python, arguments, release.manifest.execution))
    except errors.TrimtabError as problem:
        tolerance = json.loads(config.read_bytes())["golden"]["tolerance"]
        return Replay(engine, "divergent", None, tolerance), [str(problem)]
    difference, tolerance = answer["difference"], answer["tolerance"]
    tools.narrate(f"golden set by {engine}: largest difference {difference:.1e}")
    if not answer["within_tolerance"]:
        return Replay(engine, "divergent", difference, tolerance), list(answer["problems"])
    exact = difference == 0.0
    return Replay(
        engine, "bit_identical" if exact else "within_tolerance", difference, tolerance
    ), []
