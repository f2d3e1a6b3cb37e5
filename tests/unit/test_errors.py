"""Every error has a declared code and says what a person needs."""

import pytest

from trimtab import errors


def test_a_code_is_declared_once() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        errors.declare(errors.BAD_NAME, "again")


def test_an_error_without_a_declared_code_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="not declared"):
        errors.Usage("TT-000", "do", "it", "because")


def test_an_error_reports_its_chain_of_causes() -> None:
    try:
        try:
            raise OSError("disk full")
        except OSError as cause:
            raise errors.Permanent(errors.STORE_FAILED, "commit", "journal", "no room") from cause
    except errors.TrimtabError as caught:
        report, text = caught.report(), str(caught)
    assert text == "commit journal: no room"
    assert report.causes == ("disk full",)
    assert report.retryable is False


@pytest.mark.parametrize("family", [errors.Unavailable, errors.TimedOut])
def test_what_may_pass_by_itself_is_retryable(family: type[errors.TrimtabError]) -> None:
    assert family(errors.NOT_RUNNING, "reach", "server", "refused").retryable


def test_codes_are_listed_in_order() -> None:
    codes = [entry.code for entry in errors.registry()]
    assert codes == sorted(codes)
