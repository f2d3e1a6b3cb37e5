"""trimtab keeps machine-learning models dependable in production.

It packs a trained model into an immutable release, serves it, watches it, judges it and acts –
rolls back, scales, retrains – in one control loop.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimtab.building import build
    from trimtab.client import Client, Label, Prediction
    from trimtab.errors import TrimtabError
    from trimtab.monitoring.report import Report
    from trimtab.monitoring.run import monitor

__version__ = "0.1.0"

__all__ = [
    "Client",
    "Label",
    "Prediction",
    "Report",
    "TrimtabError",
    "__version__",
    "build",
    "monitor",
]

_HOMES = {
    "Client": "trimtab.client",
    "Label": "trimtab.client",
    "Prediction": "trimtab.client",
    "Report": "trimtab.monitoring.report",
    "TrimtabError": "trimtab.errors",
    "monitor": "trimtab.monitoring.run",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is used: most processes of trimtab use none of them."""
    if name == "build":
        return import_module("trimtab.build")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'trimtab' has no attribute {name!r}")
