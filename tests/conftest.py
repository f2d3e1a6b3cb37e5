"""Settings that hold for every test."""

import importlib.util
import os
import sysconfig
from pathlib import Path

import pytest
from hypothesis import settings

# A shared or busy machine must not turn a slow example into a failed property.
settings.register_profile("trimtab", deadline=None, print_blob=True)
settings.register_profile("trimtab-ci", settings.get_profile("trimtab"), derandomize=True)
settings.load_profile("trimtab-ci" if os.environ.get("CI") else "trimtab")


def pytest_configure() -> None:
    """Refuse to test the source tree where the installed wheel was asked for."""
    if os.environ.get("TRIMTAB_TEST_INSTALLED") != "1":
        return
    spec = importlib.util.find_spec("trimtab")
    if spec is None or spec.origin is None:
        raise pytest.UsageError("trimtab is not installed in this environment")
    if Path(sysconfig.get_path("purelib")) not in Path(spec.origin).parents:
        raise pytest.UsageError(f"trimtab comes from {spec.origin}, not from the installed wheel")
