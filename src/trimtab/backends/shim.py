"""Starting the worker package in another interpreter: its copy, its command line, its profile."""

import compileall
import hashlib
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from py_compile import PycInvalidationMode

import trimtab.worker
from trimtab.backends.durable import sync_files
from trimtab.domain import layout

PACKAGE = "trimtab_worker"
"""What the copy is called, so that nothing in a release can be mistaken for it."""

_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LD_LIBRARY_PATH")
"""What a child may know of its parent's environment; secrets of the parent are not in it."""

_ALWAYS = {
    # A GPU is given to a worker by its deployment, and never found by a library.
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONFAULTHANDLER": "1",
    "PYTHONUNBUFFERED": "1",
    # Arrow's allocator would start a thread when it is imported, and a zygote must have none.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    # ONNX Runtime would tell its maker what it runs (since 1.29), and keep a thread for that.
    "ORT_DISABLE_TELEMETRY": "1",
}

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
)

_NO_AVX512 = {
    "NPY_DISABLE_CPU_FEATURES": (
        "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR X86_V4"
    )
}
_PORTABLE_KERNELS = (
    {"OPENBLAS_CORETYPE": "Haswell", "MKL_CBWR": "AVX2", **_NO_AVX512}
    if platform.machine() in {"x86_64", "AMD64"}
    else {}
)


def threads(count: int) -> dict[str, str]:
    """The variables by which numeric libraries are told to use `count` threads."""
    return dict.fromkeys(_THREAD_VARIABLES, str(count))


EXECUTION_SERVING: Mapping[str, str] = {
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    **threads(1),
}
"""The execution profile of workers: deterministic, one thread, the fastest kernels there are."""

EXECUTION_STRICT: Mapping[str, str] = {**EXECUTION_SERVING, **_PORTABLE_KERNELS}
"""The same with kernels that every x86-64 machine of the last decade has. numpy ignores the names
of CPU features that its version does not know."""

PERTURBED: Mapping[str, Mapping[str, str]] = {
    "two threads": {**EXECUTION_SERVING, **threads(2)},
    **({"portable kernels": EXECUTION_STRICT} if _PORTABLE_KERNELS else {}),
}
"""Profiles that should not change what a model answers; how far they do is its tolerance."""


def install(home: Path) -> Path:
    """Copy the worker package into the state folder; returns the folder to put on `sys.path`.

    The copy is named by its content, appears at once, and is never changed: several processes and
    versions may use the folder at the same time. One that is not whole, as after a power loss, is
    made again.
    """
    sources = _sources()
    digest = hashlib.sha256()
    for name, data in sources.items():
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    folder = home / layout.SHIM / digest.hexdigest()[:12]
    if _whole(folder, sources):
        return folder
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    for name, data in sources.items():
        path = unfinished / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    _compile(unfinished, folder)
    sync_files(unfinished)
    if folder.is_dir() and not _whole(folder, sources):
        torn = unfinished.with_suffix(f"{unfinished.suffix}.torn")
        folder.rename(torn)
        shutil.rmtree(torn)
    try:
        unfinished.rename(folder)
    except OSError:
        shutil.rmtree(unfinished)
        if not folder.is_dir():
            raise
    return folder


def _whole(folder: Path, sources: Mapping[str, bytes]) -> bool:
    places = {folder / PACKAGE / name: data for name, data in sources.items()}
    return all(path.is_file() and path.read_bytes() == data for path, data in places.items())


def _compile(unfinished: Path, folder: Path) -> None:
    """Compile the copy, for workers may write nothing and would do it at every start.

    An interpreter of another version ignores the result. The sources cannot change, so that
    nothing has to be compared with them."""
    compileall.compile_dir(
        unfinished,
        quiet=2,
        stripdir=str(unfinished),
        prependdir=str(folder),
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )


def worker_argv(python: Path, shim: Path, arguments: Sequence[str]) -> list[str]:
    """The command line that runs the worker in `python` with `arguments` (`serve`, `probe`, …).

    `shim` is what `install` returned. The child sees its environment, the standard library and the
    copy: no user site (`-s`), no working directory (`-P`). Isolated mode would also ignore the
    `PYTHON…` variables of the execution profile.
    """
    bootstrap = (
        f"import sys; sys.path.insert(0, {str(shim)!r}); "
        f"from {PACKAGE}.main import main; main(sys.argv[1:])"
    )
    return [str(python), "-s", "-P", "-c", bootstrap, *arguments]


def worker_environment(
    execution: Mapping[str, str], parent: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The variables of a child: a few of the parent's (default: this process), then the profile."""
    known = os.environ if parent is None else parent
    kept = {name: known[name] for name in _INHERITED if name in known}
    return {**kept, **_ALWAYS, **execution}


def _sources() -> dict[str, bytes]:
    """The package's files by relative path, sorted."""
    root = Path(str(files(trimtab.worker)))
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.py"))
    }
