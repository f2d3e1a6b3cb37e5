"""Messages to people."""

from typing import Protocol

from trimtab.domain.verdicts import Incident


class Notifier(Protocol):
    """Tells somebody about an incident; delivered at least once, de-duplicated by `key`."""

    def notify(self, key: str, incident: Incident) -> None:
        """Deliver the incident's present state. Raises `Unavailable` when it should be retried."""
        ...
