"""The golden set replayed in place tells when a model no longer is itself."""

from pathlib import Path

import pytest
from tests.unit.worker.test_golden import Doubler, model, stored

from trimtab.worker.replay import PAUSE_SECONDS, ROWS, Replay

EVERY = 300.0


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def replayed(replay: Replay, watch: Watch) -> int:
    """Let it be time, and replay until there is a pause; returns in how many steps."""
    watch.now += EVERY
    steps = 0
    while replay.wait() == 0.0:
        replay.step()
        steps += 1
        watch.now += PAUSE_SECONDS
    return steps


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_it_waits_for_its_time_and_then_asks_a_few_rows_at_a_time(
    tmp_path: Path, watch: Watch
) -> None:
    stored(tmp_path, [2.0 * each for each in range(3 * ROWS)])
    replay = Replay(model(tmp_path), 0.25, EVERY, watch)
    assert replay.wait() == EVERY
    replay.step()
    assert (replay.difference, replay.failure) == (0.25, "")
    assert replayed(replay, watch) == 4
    assert (replay.difference, replay.failure) == (0.0, "")
    assert replay.wait() == pytest.approx(EVERY - PAUSE_SECONDS)


def test_a_model_that_changed_is_told_and_one_that_is_itself_again_too(
    tmp_path: Path, watch: Watch
) -> None:
    stored(tmp_path, [0.0, 2.0, 4.0])
    serving = model(tmp_path)
    replay = Replay(serving, 0.0, EVERY, watch)
    changed = serving.predictor
    assert isinstance(changed, Doubler)
    changed.batched = 0.5
    replayed(replay, watch)
    assert "is not reproduced: the largest difference is 1.5" in replay.failure
    assert replay.difference == 1.5
    changed.batched = 0.0
    replayed(replay, watch)
    assert (replay.failure, replay.difference) == ("", 0.0)


def test_a_set_that_cannot_be_read_any_more_is_told(tmp_path: Path, watch: Watch) -> None:
    stored(tmp_path, [0.0])
    replay = Replay(model(tmp_path), 0.0, EVERY, watch)
    (tmp_path / "golden.bin").unlink()
    replayed(replay, watch)
    assert "cannot be read" in replay.failure
    assert replay.difference is None


def test_without_a_time_it_never_replays(tmp_path: Path, watch: Watch) -> None:
    replay = Replay(model(tmp_path), 0.0, 0.0, watch)
    assert replay.wait() is None
    replay.step()
    assert replay.failure == ""
