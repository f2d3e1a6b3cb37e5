"""An observer and a log of one deployment for each test that asks for them."""

from pathlib import Path

import pytest
from tests.support.request_log import SegmentWriter
from tests.unit.loop.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def writer(tmp_path: Path) -> SegmentWriter:
    return SegmentWriter(tmp_path, "flights")
