"""Every example in the docstrings of the statistics is exact."""

import doctest
import importlib
import pkgutil

import pytest

import trimtab.stats

MODULES = [
    f"trimtab.stats.{module.name}" for module in pkgutil.iter_modules(trimtab.stats.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_each_method_run_and_are_exact(name: str) -> None:
    """Doctests pass, and each module of methods has at least one."""
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
    assert result.attempted > 0
