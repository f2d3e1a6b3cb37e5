"""Under which name an order is recorded."""

import os

import pytest

from trimtab.app.person import actor
from trimtab.web.orders import ACTOR


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ("ada", "ada"),
        ("ada@corp.example", "ada@corp.example"),
        ("CORP\\ada", "CORP-ada"),
        ("Ada Lovelace", "Ada-Lovelace"),
        ("J\u00fcrgen", "J\u00fcrgen"),
        ("\u674e", f"uid-{os.getuid()}"),
        ("\u674e.wei", "-.wei"),
        ("a" * 80, "a" * 64),
    ],
)
def test_whoever_gives_an_order_is_named_in_the_journal(
    user: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", user)
    assert actor() == name
    assert ACTOR.fullmatch(name)
