"""A release holds the code that it needs, and no other."""

from pathlib import Path

import pytest

from trimtab import errors
from trimtab.build.staging import stage_code, stage_model


def project(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path = path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def staged(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py"))


def test_modules_are_followed_through_their_imports(tmp_path: Path) -> None:
    code = project(
        tmp_path / "code",
        features="import numpy\nfrom tables import ROUTES\nimport unrelated_library\n",
        tables="from deep import more\nROUTES = 1\n",
        deep__more="import os\n",
        deep__init="",
        other="raise RuntimeError('never needed')\n",
    )
    (code / "deep" / "init.py").rename(code / "deep" / "__init__.py")
    stage_code("features", code, tmp_path / "out")
    assert staged(tmp_path / "out") == [
        "deep/__init__.py",
        "deep/more.py",
        "features.py",
        "tables.py",
    ]


def test_relative_imports_of_a_package_are_followed(tmp_path: Path) -> None:
    code = project(
        tmp_path / "code", pack__features="from . import tables\n", pack__tables="X = 1\n"
    )
    (code / "pack" / "__init__.py").write_text("")
    stage_code("pack.features", code, tmp_path / "out")
    assert staged(tmp_path / "out") == ["pack/__init__.py", "pack/features.py", "pack/tables.py"]


def test_modules_that_import_each_other_are_taken_once(tmp_path: Path) -> None:
    code = project(tmp_path / "code", a="import b\n", b="import a\n")
    stage_code("a", code, tmp_path / "out")
    assert staged(tmp_path / "out") == ["a.py", "b.py"]


def test_a_missing_module_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(errors.Usage) as caught:
        stage_code("features", tmp_path, tmp_path / "out")
    assert caught.value.code == errors.MISSING_FILE


def test_code_that_is_not_python_names_the_line(tmp_path: Path) -> None:
    code = project(tmp_path / "code", features="x = \n")
    with pytest.raises(errors.Usage, match="line 1"):
        stage_code("features", code, tmp_path / "out")


def test_the_model_file_is_copied_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "m.skops").write_bytes(b"model")
    assert stage_model(tmp_path / "m.skops", tmp_path / "out") == "model/m.skops"
    assert (tmp_path / "out" / "model" / "m.skops").read_bytes() == b"model"


def test_a_missing_model_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.Usage) as caught:
        stage_model(tmp_path / "none.skops", tmp_path / "out")
    assert caught.value.code == errors.MISSING_FILE
