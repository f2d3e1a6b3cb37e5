"""How long the controller keeps the log."""

from datetime import date

from trimtab.web.__main__ import oldest_kept


def test_the_log_is_kept_for_as_many_days_as_were_asked_for() -> None:
    assert oldest_kept(date(2026, 3, 1), 1) == date(2026, 2, 28)
    assert oldest_kept(date(2026, 3, 1), 30) == date(2026, 1, 30)


def test_more_days_than_there_are_dates_keep_everything() -> None:
    for days in (999_999, 99_999_999_999):
        assert oldest_kept(date(2026, 3, 1), days) == date.min
