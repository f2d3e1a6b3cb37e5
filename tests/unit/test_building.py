"""`trimtab.build` in an environment that lacks what it needs only for an object."""

import sys
from pathlib import Path

import pytest

import trimtab
from trimtab import errors


@pytest.mark.parametrize(("given", "library"), [("skops", "skops.io"), ("joblib", "joblib")])
def test_a_library_that_would_store_the_object_is_named_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(errors.Usage, match="not installed here") as caught:
        trimtab.build("m", object(), format=given, folder=tmp_path)
    assert caught.value.hint == f"pip install {given}"
