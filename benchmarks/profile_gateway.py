"""Where the time of trimtab's own processes goes under load: functions by their own time.

usage: scripts/bench profile_gateway [--process gateway] [--model logreg] [--connections 64]
           [--rows 1] [--kind json] [--seconds 5] [--lines] [--native] [--top 40]

The server runs on one core and the load generator on another. py-spy samples the process from
outside; the rate that it prints is slower than an unobserved one by the cost of that.
"""

import argparse
import subprocess
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from harness.environments import environment
from harness.generator import generate
from harness.load import Result
from harness.models import MODELS, Trained, train
from harness.ours import Trimtab
from harness.processes import command_line, processor_seconds, tree
from harness.servers import Place, Running, first_answer, load

MARKS = {
    "gateway": "trimtab.gateway",
    "worker": "trimtab_worker",
    "controller": "trimtab.web",
    "agent": "trimtab.cli",
}
SAMPLES_PER_SECOND = 400
IDLE = "_worker (concurrent/futures/thread.py"
"""A pool's thread without work, which py-spy takes for busy."""

SERVER_CORE, CLIENT_CORE = (1,), [0]


def process_of(running: Running, role: str) -> int:
    """The process of a tree that plays `role`; of several workers the first."""
    for pid in tree(running.pid):
        if MARKS[role] in command_line(pid):
            return pid
    raise SystemExit(f"no {role} among the processes of trimtab")


def sampled(pid: int, seconds: float, options: argparse.Namespace) -> list[tuple[list[str], int]]:
    """Stacks, outermost first, and how often each was seen."""
    with tempfile.NamedTemporaryFile(suffix=".txt") as output:
        argv = [str(environment("profiler").parent / "py-spy"), "record", "--pid", str(pid)]
        argv += ["--format", "raw", "--rate", str(SAMPLES_PER_SECOND), "--output", output.name]
        argv += ["--duration", str(max(1, round(seconds)))]
        argv += ["--native"] if options.native else []
        argv += [] if options.lines else ["--function"]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"py-spy: {done.stderr.strip()}")
        stacks = Path(output.name).read_text(encoding="utf-8").splitlines()
    pairs = [line.rpartition(" ") for line in stacks]
    found = [(frames.split(";"), int(count)) for frames, _, count in pairs]
    return [(frames, count) for frames, count in found if not frames[-1].startswith(IDLE)]


def table(stacks: list[tuple[list[str], int]], top: int) -> str:
    """Functions by their own share of the samples, with that of all they call."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for frames, count in stacks:
        own[frames[-1]] += count
        for frame in set(frames):
            whole[frame] += count
    total = own.total() or 1
    lines = [f"{total} samples", "   own  whole  function"]
    for frame, count in own.most_common(top):
        lines.append(f"{count / total:6.1%} {whole[frame] / total:6.1%}  {frame}")
    return "\n".join(lines)


def main() -> None:
    """Start, load, sample, print."""
    parser = argparse.ArgumentParser(description="The gateway's own time by function.")
    parser.add_argument("--process", choices=list(MARKS), default="gateway")
    parser.add_argument("--model", choices=MODELS, default="logreg")
    parser.add_argument("--engine", default="auto", help="of `trimtab build`")
    parser.add_argument("--kind", default="json", help="json, binary or grpc")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--top", type=int, default=40)
    parser.add_argument("--lines", action="store_true", help="by line, not by function")
    parser.add_argument("--native", action="store_true", help="C functions too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trimtab-profile-") as folder:
        model = train(Path(folder))[options.model]
        trimtab = Trimtab("trimtab", engine=options.engine)
        trimtab.prepare(model)
        running = trimtab.start(model, Place(Path(folder), cores=SERVER_CORE))
        try:
            profile(running, model, options)
        finally:
            running.stop()


def profile(running: Running, model: Trained, options: argparse.Namespace) -> None:
    """Print what the process does while the load runs."""
    first_answer(running, model, options.kind)
    asked = load(
        running,
        model,
        options.kind,
        options.rows,
        connections=options.connections,
        seconds=options.seconds + 2.0,
        cores=CLIENT_CORE,
    )
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.extend(generate(asked)))
    thread.start()
    time.sleep(asked.warmup + 1.0)
    pid = process_of(running, options.process)
    before = processor_seconds(pid)
    stacks = sampled(pid, options.seconds, options)
    busy = processor_seconds(pid) - before
    thread.join()
    (result,) = results
    print(
        f"{result.rate:,.0f}/s, p50 {result.p50 * 1e3:.2f} ms, p99 {result.p99 * 1e3:.2f} ms, "
        f"{result.errors} errors; {result.server_cpu * 1e6:.0f} µs of processor per request in "
        f"the whole tree; the {options.process} was busy for {busy:.1f} s"
    )
    print(table(stacks, options.top))


if __name__ == "__main__":
    main()
