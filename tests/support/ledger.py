"""Clients that keep a book: what they asked, who answered, what was labelled, what went wrong."""

import json
import random
import threading
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from tests.support.project import people
from tests.support.system import System, until

from trimtab import errors
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.client import Client, Label, Reply


class CountingClient(Client):
    """A client that remembers how often it sent each request."""

    def __init__(self, url: str, deadline: float, sent: Counter[str]) -> None:
        super().__init__(url, deadline)
        self.sent = sent

    def _exchange(self, method: str, path: str, payload: bytes | None, left: float) -> Reply:
        if payload is not None:
            name = path.rpartition("/")[2]
            told = json.loads(payload)
            ids = [told["id"]] if name == "infer" else [entry["id"] for entry in told["labels"]]
            self.sent.update(f"{name}:{each}" for each in ids)
        return super()._exchange(method, path, payload, left)


@dataclass
class Book:
    """What the clients know. `answered` maps a request to the release that answered it."""

    answered: dict[str, str] = field(default_factory=dict)
    labelled: dict[str, str] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


class Traffic(AbstractContextManager["Traffic"]):
    """Some clients that ask and label, one request after another, for as long as it is entered."""

    def __init__(self, system: System, deployment: str, clients: int = 3) -> None:
        self.book = Book()
        self._system = system
        self._deployment = deployment
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(number,)) for number in range(clients)
        ]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        self.more(20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, what: BaseException | None, at: TracebackType | None
    ) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int) -> None:
        """Wait until so many more requests were answered, or a client met a problem."""
        wanted = len(self.book.answered) + count
        until(lambda: self.book.problems or len(self.book.answered) >= wanted, 60)

    def _work(self, number: int) -> None:
        chance = random.Random(number)
        known = people(50, number)
        sent: Counter[str] = Counter()
        with CountingClient(self._system.inference, 30.0, sent) as client:
            while not self._end.is_set():
                try:
                    self._once(client, chance.choice(known), chance)
                except (errors.TrimtabError, OSError, ValueError) as problem:
                    self.book.problems.append(repr(problem))
                    break
            self.book.sent.update(sent)

    def _once(self, client: Client, person: dict[str, Any], chance: random.Random) -> None:
        asked = {name: value for name, value in person.items() if name not in ("left", "person")}
        answer = client.predict(self._deployment, [asked])
        if len(answer) != 1:
            self.book.problems.append(f"{len(answer)} rows for one: {answer}")
        self.book.answered[answer.id] = answer.release
        if chance.random() < 0.5:
            accepted = client.label(self._deployment, [Label(person["left"], id=answer.id)])
            if accepted == 1:
                self.book.labelled[answer.id] = person["left"]


_FINAL = """
    select request_id as name, count(*) as finals,
           count(*) filter (where outcome = 'ok') as ok
    from rows where final group by request_id
"""
_LABELS = "select request_id as name, label, count(*) as times from labels group by all"


def compare(system: System, deployment: str, book: Book) -> list[str]:
    """What the request log and the book disagree about; the log may be a moment behind."""
    log = FolderRequestLog(system.home)
    rows = {row["name"]: row for row in log.query(deployment, _FINAL).to_pylist()}
    labels = {row["name"]: row for row in log.query(deployment, _LABELS).to_pylist()}
    wrong = [f"{name} was answered and is not logged" for name in book.answered if name not in rows]
    for name in book.answered.keys() & rows.keys():
        sent = book.sent[f"infer:{name}"]
        if not 1 <= rows[name]["finals"] <= sent or not rows[name]["ok"]:
            wrong.append(f"{name} was sent {sent} times: {rows[name]}")
    for name, label in book.labelled.items():
        found = labels.get(name)
        if found is None or found["label"] != label:
            wrong.append(f"the label {label} of {name} is {found}")
        elif found["times"] > book.sent[f"feedback:{name}"]:
            wrong.append(f"the label of {name} is there {found['times']} times")
    return wrong
