"""`trimtab demo` ends what it started, whatever ends it."""

import signal
from collections.abc import Iterator

import pytest

from trimtab.cli.verbs.demo import ended_in_order


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_is_interrupted_as_by_ctrl_c(number: signal.Signals) -> None:
    """The process would end at once, and leave a system running that nobody knows of."""
    signal.signal(number, signal.SIG_DFL)
    with pytest.raises(KeyboardInterrupt), ended_in_order():
        signal.raise_signal(number)
    assert signal.getsignal(number) is signal.SIG_DFL


def test_under_nohup_it_goes_on_without_its_terminal() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with ended_in_order():
        signal.raise_signal(signal.SIGHUP)
