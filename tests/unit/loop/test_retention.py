"""From which day on the log is kept."""

from datetime import UTC, date, datetime

from trimtab.loop.retention import STEADY, Retention, oldest_kept

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
TODAY = date(2026, 3, 1)
YEARS = 20 * 365 * 86_400.0


def test_the_log_is_kept_for_as_many_days_as_were_asked_for() -> None:
    assert oldest_kept(TODAY, 1) == date(2026, 2, 28)
    assert oldest_kept(TODAY, 30) == date(2026, 1, 30)


def test_more_days_than_there_are_dates_keep_everything() -> None:
    for days in (999_999, 99_999_999_999):
        assert oldest_kept(TODAY, days) == date.min


def test_days_pass_and_the_cut_off_with_them() -> None:
    retention = Retention(30, TODAY)
    assert retention.before(NOW, 0.0) == date(2026, 1, 30)
    assert retention.before(NOW + 86_400.0, 86_400.0) == date(2026, 1, 31)
    assert not retention.waits


def test_a_clock_in_a_wrong_year_for_some_minutes_deletes_nothing() -> None:
    retention = Retention(30, TODAY)
    retention.before(NOW, 0.0)
    for minute in range(1, 50):
        assert retention.before(NOW + YEARS, 60.0 * minute) is None
        assert retention.waits
    assert retention.before(NOW + 3000.0, 3000.0) == date(2026, 1, 30)
    assert not retention.waits


def test_a_clock_that_leapt_is_believed_once_it_stood_by_it_for_an_hour() -> None:
    retention = Retention(30, TODAY)
    retention.before(NOW, 0.0)
    assert retention.before(NOW + YEARS, 60.0) is None
    assert retention.before(NOW + YEARS + STEADY, 60.0 + STEADY) == date(2046, 1, 25)
    assert not retention.waits


def test_a_start_with_a_clock_far_ahead_of_the_log_waits_too() -> None:
    retention = Retention(30, date(2026, 1, 1))
    assert retention.before(NOW, 5.0) is None
    assert retention.before(NOW + STEADY, 5.0 + STEADY) == date(2026, 1, 30)


def test_a_start_on_the_next_day_or_with_an_empty_log_does_not_wait() -> None:
    assert Retention(30, date(2026, 2, 28)).before(NOW, 5.0) == date(2026, 1, 30)
    assert Retention(30).before(NOW, 5.0) == date(2026, 1, 30)


def test_a_clock_that_is_set_by_an_hour_is_believed() -> None:
    retention = Retention(30, TODAY)
    retention.before(NOW, 0.0)
    assert retention.before(NOW + 3_660.0, 60.0) == date(2026, 1, 30)
