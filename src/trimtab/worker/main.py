"""The worker's command line: `serve` (the default), one of the modes that end by themselves, or
`zygote`, the process that becomes a worker by forking."""

import argparse
import contextlib
import json
import os
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from . import config, convert, golden, measure, niceness, steps, zygote
from .failures import (
    BAD_REFERENCE,
    EXIT_LOAD,
    STAGE_CODES,
    Refusal,
    StageFailure,
    place,
    refusing,
)
from .frames import Tensor
from .integrity import verify_tree
from .model import Model, load
from .replay import Replay
from .serve import Server

_NAME = "trimtab-worker"
_MODES = ("serve", "probe", "verify", "describe", "convert", "measure", "step")
_STUCK_SECONDS = 5.0
"""How long the answers in progress may take once the parent is gone."""


def main(arguments: Sequence[str]) -> NoReturn:
    """Run one mode and end the process with its exit code (docs/wire.md).

    The process ends at once: threads and exit handlers of a release's code may not keep it.
    """
    words = list(arguments)
    if words[:1] == ["zygote"]:
        words = sys.argv[1:] = zygote.born(words[1:])
    out = _keep_stdout()
    try:
        code = _run(_parsed(words), out)
    except Refusal as refusal:
        print(refusal.line(), file=sys.stderr)
        code = refusal.exit_code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _run(options: argparse.Namespace, out: int) -> int:
    parent = Parent(options.parent_fd)
    if options.mode == "step":
        return _step(options)
    if options.mode == "serve":
        return _serve(options, parent)
    settings = config.read(options.config)
    verify_tree(settings)
    with warnings.catch_warnings(record=True) as heard:
        model = load(settings)
    modes: dict[str, Callable[[Model, argparse.Namespace], Any]] = {
        "probe": _probe,
        "verify": _verify,
        "describe": partial(_describe, heard),
        "convert": _convert,
        "measure": _measure,
    }
    _print(out, modes[options.mode](model, options))
    return 0


class Parent:
    """Ends this process when the parent's end of the pipe closes, whatever it is doing."""

    def __init__(self, fd: int | None) -> None:
        self._stop: Callable[[], None] | None = None
        if fd is not None:
            os.set_inheritable(fd, False)
            threading.Thread(target=self._watch, args=(fd,), daemon=True).start()

    def when_gone(self, stop: Callable[[], None]) -> None:
        """Let `stop` end the process gently from now on; it still ends if that takes long."""
        self._stop = stop

    def _watch(self, fd: int) -> None:
        # The pipe is shared with processes that may have made it non-blocking.
        while True:
            select.select([fd], [], [])
            if not os.read(fd, 1):
                break
        if self._stop is not None:
            self._stop()
            time.sleep(_STUCK_SECONDS)
        os._exit(0)


def _serve(options: argparse.Namespace, parent: Parent) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    zygote.rename(_NAME)
    if options.niceness:
        niceness.yield_by(options.niceness)
    _keep_to(options.processors)
    if options.gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = options.gpu
    settings = config.read(options.config)
    verify_tree(settings)
    model = load(settings)
    replay = Replay(model, golden.verified(model), options.replay, time.monotonic)
    server = Server(model, options.socket, replay)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    parent.when_gone(server.stop)
    server.run()
    return 0


def _keep_to(processors: Sequence[int]) -> None:
    """Run on these processors alone, and with the threads that are started from here."""
    if processors:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, processors)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def _probe(model: Model, options: argparse.Namespace) -> Any:
    """Answer the inputs once per `--batch`, each into its `--outputs` file."""
    asked = _inputs(options)
    if len(options.batch) != len(options.outputs):
        raise Refusal(EXIT_LOAD, BAD_REFERENCE, "every --outputs needs its --batch")
    results = []
    for batch, path in zip(options.batch, options.outputs, strict=True):
        started = time.perf_counter()
        outputs = _answers(model, asked, batch)
        seconds = time.perf_counter() - started
        golden.write(path, golden.GoldenSet(asked.rows, asked.inputs, outputs))
        results.append({"batch": batch, "seconds": seconds})
    return {"rows": asked.rows, "batches": results}


def _inputs(options: argparse.Namespace) -> golden.GoldenSet:
    with refusing(BAD_REFERENCE, "cannot read the inputs"):
        return golden.read(options.inputs)


def _answers(model: Model, asked: golden.GoldenSet, batch: int) -> list[Tensor]:
    try:
        return golden.answers(model, asked, batch)
    except StageFailure as failure:
        where = place(failure.__cause__, model.config.folder)
        message = f"at {failure.stage}: {failure}{where}"
        raise Refusal(EXIT_LOAD, STAGE_CODES[failure.stage], message) from failure


def _verify(model: Model, _: argparse.Namespace) -> Any:
    result = golden.replayed(model)
    tolerance = model.config.golden.tolerance if model.config.golden else 0.0
    return {
        "difference": result.difference,
        "tolerance": tolerance,
        "within_tolerance": result.within(tolerance),
        "problems": list(result.problems),
    }


def _describe(heard: Sequence[warnings.WarningMessage], model: Model, _: argparse.Namespace) -> Any:
    """The model's facts, and what libraries said while it was loaded, each once; the setting `task`
    says what its format cannot."""
    facts = model.predictor.facts.described()
    task = model.config.settings.get("task", facts["task"])
    texts = dict.fromkeys(f"{each.category.__name__}: {each.message}" for each in heard)
    return {**facts, "task": task, "warnings": list(texts)}


def _convert(model: Model, options: argparse.Namespace) -> Any:
    return asdict(convert.convert(model, _inputs(options), options.out))


def _measure(model: Model, options: argparse.Namespace) -> Any:
    return measure.measure(model, _inputs(options))


def _step(options: argparse.Namespace) -> int:
    result = steps.run(
        steps.Step(
            options.module, options.function, options.inputs_json, options.params, options.out
        )
    )
    steps.write_result(options.result, result)
    return 0 if result.ok else 1


def _keep_stdout() -> int:
    """The real stdout as a file descriptor; what code of a release prints goes to stderr."""
    sys.stdout.flush()
    out = os.dup(1)
    os.dup2(2, 1)
    return out


def _print(out: int, answer: Any) -> None:
    with os.fdopen(out, "w", encoding="utf-8") as file:
        file.write(json.dumps(answer) + "\n")


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """`serve` may be left out, so that a worker is started by its three options alone."""
    words = list(arguments)
    if not words or words[0] not in _MODES:
        words.insert(0, "serve")
    parser = argparse.ArgumentParser(prog="trimtab-worker", allow_abbrev=False)
    modes = parser.add_subparsers(dest="mode", required=True)
    added = {name: modes.add_parser(name, allow_abbrev=False) for name in _MODES}
    for name, mode in added.items():
        mode.add_argument("--parent-fd", type=int)
        if name != "step":
            mode.add_argument("--config", type=Path, required=True)
    added["serve"].add_argument("--socket", type=Path, required=True)
    for name in ("probe", "convert", "measure"):
        added[name].add_argument("--inputs", type=Path, required=True)
    added["convert"].add_argument("--out", type=Path, required=True)
    added["serve"].add_argument("--processors", type=_numbers, default=())
    added["serve"].add_argument("--gpu", default="")
    added["serve"].add_argument("--niceness", type=int, default=0)
    added["serve"].add_argument("--replay", type=float, default=0.0)
    probe = added["probe"]
    probe.add_argument("--outputs", type=Path, action="append", required=True)
    probe.add_argument("--batch", type=int, action="append", required=True)
    step = added["step"]
    for option in ("--module", "--out", "--result"):
        step.add_argument(option, type=Path, required=True)
    step.add_argument("--function", required=True)
    step.add_argument("--inputs", type=json.loads, required=True, dest="inputs_json")
    step.add_argument("--params", type=json.loads, required=True)
    return parser.parse_args(words)
