"""Messages to people as lines of a file."""

import json
from pathlib import Path

import pytest
from tests.support.control import incident

from trimtab import errors
from trimtab.backends import notifier
from trimtab.backends.memory import MemoryNotifier, VirtualClock
from trimtab.backends.notifier import FileNotifier


def keys(path: Path) -> list[str]:
    """The keys in the file, in order."""
    return [json.loads(line)["key"] for line in path.read_bytes().splitlines() if line]


def test_each_message_is_one_line_also_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "notifications.jsonl"
    first = FileNotifier(path, VirtualClock())
    first.notify("a", incident())
    first.notify("a", incident())
    again = FileNotifier(path, VirtualClock())
    again.notify("a", incident())
    again.notify("b", incident())
    assert keys(path) == ["a", "b"]


def test_after_a_restart_the_end_of_the_file_is_read_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notifications.jsonl"
    FileNotifier(path, VirtualClock()).notify("a", incident())
    line = path.stat().st_size
    FileNotifier(path, VirtualClock()).notify("b", incident())
    monkeypatch.setattr(notifier, "REMEMBERED_BYTES", line + 9)
    again = FileNotifier(path, VirtualClock())
    again.notify("b", incident())
    again.notify("c", incident())
    assert again._known == {"b", "c"}
    assert keys(path) == ["a", "b", "c"]


def test_line_cut_short_by_a_crash_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "notifications.jsonl"
    FileNotifier(path, VirtualClock()).notify("a", incident())
    path.write_bytes(path.read_bytes()[:-10])
    FileNotifier(path, VirtualClock()).notify("a", incident())
    assert json.loads(path.read_bytes().splitlines()[-1])["key"] == "a"
    assert keys_that_parse(path) == ["a"]


def keys_that_parse(path: Path) -> list[str]:
    """The keys of the whole lines."""
    return [json.loads(line)["key"] for line in path.read_bytes().splitlines() if line[-1:] == b"}"]


def test_file_that_cannot_be_written_leaves_the_message_queued(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(errors.Unavailable) as caught:
        FileNotifier(blocked / "notifications.jsonl", VirtualClock()).notify("a", incident())
    assert caught.value.retryable


def test_memory_twin_keeps_the_first_message_of_a_key() -> None:
    twin = MemoryNotifier()
    twin.notify("a", incident("one"))
    twin.notify("a", incident("two"))
    assert twin.sent["a"].id == "one"
