"""The pace grows while the server answers and halves when it refuses."""

import threading

from trimtab.scoring.pace import FIRST, LEAST, Pace


def test_the_limit_grows_to_its_most_and_halves_to_one() -> None:
    pace = Pace(8)
    assert pace.limit == FIRST
    for _ in range(100):
        pace.taken()
    assert pace.limit == 8
    pace.refused()
    assert pace.limit == 4
    for _ in range(10):
        pace.refused()
    assert pace.limit == LEAST


def test_no_more_than_the_limit_run_at_once() -> None:
    pace = Pace(3)
    running, most, lock = 0, 0, threading.Lock()
    barrier = threading.Event()

    def work() -> None:
        nonlocal running, most
        with pace.turn():
            with lock:
                running += 1
                most = max(most, running)
            barrier.wait(0.01)
            with lock:
                running -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == FIRST
