"""One isolated environment per lock of the benchmarks, exactly what it says."""

import hashlib
import subprocess
import sys
from pathlib import Path

from uv import find_uv_bin

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "requirements"
ENVIRONMENTS = ROOT / ".venv-peers"
COMPILED = ("--compile-bytecode",)
"""As other installers do unasked: a server that compiles its imports starts slower and larger."""


class NotInstalled(Exception):
    """A lock that cannot be installed here; the message is the installer's."""


def environment(name: str) -> Path:
    """The interpreter of the environment of `requirements/NAME.txt`, made when it is not there.

    Raises `NotInstalled`."""
    lock = LOCKS / f"{name}.txt"
    folder = ENVIRONMENTS / name
    mark = folder / "lock.sha256"
    wanted = hashlib.sha256(lock.read_bytes() + f"{sys.version}{COMPILED}".encode()).hexdigest()
    python = folder / "bin" / "python"
    if not mark.exists() or mark.read_text(encoding="utf-8") != wanted:
        _uv("venv", "--clear", "--python", sys.executable, str(folder))
        _uv("pip", "sync", "--require-hashes", *COMPILED, "--python", str(python), str(lock))
        (ENVIRONMENTS / ".gitignore").write_text("*\n", encoding="utf-8")
        mark.write_text(wanted, encoding="utf-8")
    return python


def versions(name: str, packages: tuple[str, ...]) -> str:
    """Name and version of `packages`, as the lock pins them for this interpreter."""
    code = (
        "import sys, importlib.metadata as m; "
        "print(', '.join(f'{p} {m.version(p)}' for p in sys.argv[1:]))"
    )
    python = ENVIRONMENTS / name / "bin" / "python"
    done = subprocess.run(
        [python, "-c", code, *packages], check=False, capture_output=True, text=True
    )
    return done.stdout.strip()


def _uv(*arguments: str) -> None:
    done = subprocess.run(
        [find_uv_bin(), "--quiet", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    if done.returncode:
        raise NotInstalled(done.stderr.strip()[-500:])
