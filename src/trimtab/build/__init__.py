"""Making releases: from a model, its features and its data to an immutable, verified release.

Belongs here: signature inference, reference profile and golden set, environment locks, packing into
content-addressed blobs, the cached and resumable pipeline, reproduction and verification.

Does not belong here: serving, rollout decisions, or importing a model library: a model is loaded in
its own environment by `worker`.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """Lets `trimtab.build(...)`, the public function, have the name that this package has too."""

    def __call__(self, name: str, model: Any, **options: Any) -> Any:
        return import_module("trimtab.building").build(name, model, **options)


sys.modules[__name__].__class__ = _Callable
