"""Programs of other products, run in their own environments; what they said is kept.

Answers are kept under `.venv-peers/answers` by a digest of the lock, the program and its input, so
a second run asks only what has changed.
"""

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from harness.environments import ENVIRONMENTS, LOCKS, environment
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
ANSWERS = ENVIRONMENTS / "answers"


@dataclass(frozen=True)
class Job:
    """A detector of river on a stream. With `since` it ends at its first alarm from there on."""

    detector: str
    stream: str
    options: Mapping[str, Any] = field(default_factory=dict)
    since: int | None = None
    rising: bool = True


def river(jobs: Sequence[Job], streams: Mapping[str, NDArray[Any]]) -> list[list[int]]:
    """The rows at which each job alarmed. Jobs that are the same on equal streams run once."""
    content = {
        name: hashlib.sha256(values.tobytes()).hexdigest() for name, values in streams.items()
    }
    kept = {digest: name for name, digest in content.items()}
    asked = [vars(replace(job, stream=kept[content[job.stream]])) for job in jobs]
    keys = [json.dumps(each, default=dict, sort_keys=True) for each in asked]
    different = sorted(
        dict(zip(keys, asked, strict=True)).items(), key=lambda each: each[1]["stream"]
    )

    def write(folder: Path) -> None:
        laid(
            [each for _, each in different], {name: streams[name] for name in kept.values()}, folder
        )

    found = answer("river", "river_side", write)
    made = {key: rows for (key, _), rows in zip(different, found, strict=True)}
    return [made[key] for key in keys]


def laid(
    jobs: Sequence[Mapping[str, Any]], streams: Mapping[str, NDArray[Any]], folder: Path
) -> None:
    """Put what the program of river reads into the folder."""
    (folder / "jobs.json").write_text(json.dumps(jobs, default=dict), encoding="utf-8")
    np.savez(folder / "streams.npz", **dict(streams))


def answer(product: str, name: str, write: Callable[[Path], None]) -> Any:
    """What the program of that name prints of the folder that `write` fills."""
    python = environment(f"peers-{product}")
    program = HERE / f"{name}.py"
    with tempfile.TemporaryDirectory(prefix="judgement-") as made:
        folder = Path(made)
        write(folder)
        files = sorted(each for each in folder.rglob("*") if each.is_file())
        parts = [LOCKS / f"peers-{product}.txt", program, *files]
        kept = ANSWERS / f"{name}-{digest(parts)}.json"
        if not kept.exists():
            done = subprocess.run(
                [python, program, folder], check=False, capture_output=True, text=True
            )
            if done.returncode:
                raise RuntimeError(f"{program.name} failed: {done.stderr.strip()[-2000:]}")
            kept.parent.mkdir(exist_ok=True)
            kept.write_text(done.stdout.strip().splitlines()[-1], encoding="utf-8")
    return json.loads(kept.read_text(encoding="utf-8"))


def digest(parts: Sequence[Path]) -> str:
    """Of the files' names and contents."""
    seen = hashlib.sha256()
    for part in parts:
        seen.update(part.name.encode())
        seen.update(hashlib.sha256(part.read_bytes()).digest())
    return seen.hexdigest()[:32]
