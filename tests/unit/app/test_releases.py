"""What is told of a release whose registration was not answered."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.support.control import manifest, stored

from trimtab import errors
from trimtab.agent.lock import hold_home
from trimtab.agent.supervisor import AgentFacts
from trimtab.app import releases
from trimtab.app.projects import Project, project_or_folder
from trimtab.app.stores import open_store
from trimtab.backends.blobs import ObjectBlobs
from trimtab.backends.home import open_home
from trimtab.domain import layout
from trimtab.domain.names import Digest
from trimtab.judge.draft import Author


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project whose state folder is held by a server that takes orders and answers none."""
    monkeypatch.setattr(releases, "ORDER_SECONDS", 0.1)
    project = project_or_folder(tmp_path, {})
    home = open_home(project.home)
    with hold_home(home), socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        (home / layout.AGENT_FACTS).parent.mkdir(parents=True, exist_ok=True)
        facts = AgentFacts(1, url, url, 0.0)
        (home / layout.AGENT_FACTS).write_bytes(msgspec.json.encode(facts))
        yield project


def built(project: Project) -> Digest:
    """A release that is stored and has no number."""
    return ObjectBlobs.local(project.home / layout.BLOBS).put(stored(manifest(1)))


def test_a_release_that_was_registered_without_an_answer_is_a_release(project: Project) -> None:
    digest = built(project)
    store = open_store(project.home)
    store.lead("test")
    store.register(digest, Author("test"))
    assert releases.register(project, digest).name == "m@1"


def test_one_that_may_still_be_registered_is_told_so(project: Project) -> None:
    with pytest.raises(errors.TimedOut) as caught:
        releases.register(project, built(project))
    assert caught.value.code == errors.NOT_RUNNING
    assert "the server may still give it one" in caught.value.unchanged
    assert isinstance(caught.value.__cause__, TimeoutError)


def test_where_nobody_could_be_asked_it_has_no_number(project: Project) -> None:
    (project.home / layout.AGENT_FACTS).unlink()
    with pytest.raises(errors.Unavailable) as caught:
        releases.register(project, built(project))
    assert caught.value.unchanged.startswith("the release is stored but has no number yet")


def test_builds_that_end_at_the_same_time_are_registered_one_after_another(tmp_path: Path) -> None:
    """The other holds the state folder for a moment, and is no server that could be asked."""
    project = project_or_folder(tmp_path, {})
    home = open_home(project.home)
    digest = built(project)
    held, freed = threading.Event(), threading.Event()

    def other() -> None:
        with hold_home(home):
            held.set()
            freed.wait(10.0)

    thread = threading.Thread(target=other)
    thread.start()
    held.wait()
    threading.Timer(0.2, freed.set).start()
    assert releases.register(project, digest).name == "m@1"
    thread.join()
