"""What becomes of labels, as the joiner weighs them."""

from tests.support.request_log import LABEL, ROW, table

from trimtab.backends.requestlog_files import to_labels, to_rows
from trimtab.domain.records import FIXED_COLUMNS, LABEL_COLUMNS, Labels
from trimtab.loop.joiner import Joiner, Terms
from trimtab.ports.requestlog import Segment


def given(*labels: tuple[str, str]) -> Labels:
    """A segment of labels by request."""
    rows = [{**LABEL, "request_id": name, "label": label} for name, label in labels]
    return to_labels(table(rows, LABEL_COLUMNS))


def test_every_label_is_told_by_what_became_of_it() -> None:
    joiner = Joiner(Terms(horizon=10.0, time="received_at"))
    rows = [{**ROW, "request_id": f"r{number}"} for number in range(3)]
    segment = Segment("flights", "rows", "g0-1", 0, "")
    joiner.add(segment, to_rows(table(rows, FIXED_COLUMNS)))
    first = given(("r0", "1"), ("r0", "1"), ("r0", "0"), ("r1", "1"), ("none", "1"))
    fates = ["fresh", "repeated", "contradicted", "fresh", "unknown"]
    heard = joiner.weigh(first)
    assert heard.fate.tolist() == fates
    assert heard.at.tolist() == first.fixed["received_at"].tolist()
    joiner.learn(first, 1.0)
    again = given(("r1", "1"), ("r1", "0"), ("r2", "1"))
    assert joiner.weigh(again).fate.tolist() == ["repeated", "contradicted", "fresh"]
    assert Joiner(Terms(horizon=10.0)).weigh(first).at.tolist() == first.fixed["at"].tolist()
