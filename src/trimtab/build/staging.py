"""Gathering the files of a release: the model and the code that it needs."""

import ast
import shutil
from pathlib import Path

from trimtab import errors
from trimtab.build.listing import listing

MODEL_FOLDER = "model"


def stage_model(model: Path, folder: Path) -> str:
    """Copy the model file to `folder`; returns its path inside the release."""
    if not model.is_file():
        raise errors.Usage(
            errors.MISSING_FILE,
            "build",
            str(model),
            "there is no such model file",
            unchanged="no release was made",
            hint=listing(model),
        )
    target = folder / MODEL_FOLDER / model.name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model, target)
    return target.relative_to(folder).as_posix()


def stage_code(module: str, code: Path, folder: Path) -> None:
    """Copy `module` and every module of the `code` folder that it imports, however deep.

    Only files below `code` are taken; everything else must come from the requirements.
    """
    waiting, seen = [module], set[str]()
    while waiting:
        name = waiting.pop()
        path = _file_of(name, code)
        if name in seen or path is None:
            if name == module and path is None:
                raise _missing(module, code)
            continue
        seen.add(name)
        target = folder / path.relative_to(code)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        waiting += _parents(name)
        waiting += imported(path, name)


def imported(path: Path, name: str) -> list[str]:
    """Names of all modules that the file mentions in import statements, relative ones resolved."""
    try:
        tree = ast.parse(path.read_bytes(), filename=path.name)
    except SyntaxError as cause:
        raise errors.Usage(
            errors.FEATURES_FAILED,
            "build",
            path.name,
            f"line {cause.lineno}: {cause.msg}",
            unchanged="no release was made",
        ) from cause
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return found


def _base(node: ast.ImportFrom, package: str) -> str:
    if node.level == 0:
        return node.module or ""
    parts = package.split(".")
    kept = parts[: len(parts) - (node.level - 1)]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _file_of(module: str, code: Path) -> Path | None:
    if not module:
        return None
    base = code.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def _missing(module: str, code: Path) -> errors.Usage:
    hint = "write it as module:function or module:Class, with the module beside trimtab.toml"
    if module.endswith(".py"):
        hint = f"write it without .py: {module.removesuffix('.py')}:…"
    return errors.Usage(
        errors.MISSING_FILE,
        "build",
        module,
        f"there is no {module.replace('.', '/')}.py in {code.name}/",
        unchanged="no release was made",
        hint=hint,
    )
