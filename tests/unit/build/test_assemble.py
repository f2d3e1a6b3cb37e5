"""What a release is told to be is what its model and its reference say together."""

from trimtab.build.assemble import in_fitted_order, numbered
from trimtab.domain.signature import Column, Datatype

AGE, PAID, AREA = (Column(name, Datatype.FP64) for name in ("age", "sum paid", "area"))


def test_columns_come_in_the_order_that_the_model_was_fitted_in() -> None:
    fitted = ["sum paid", "area", "age"]
    assert in_fitted_order([AGE, PAID, AREA], fitted) == (PAID, AREA, AGE)


def test_names_are_recognised_where_lightgbm_has_written_them_without_spaces() -> None:
    fitted = ["sum_paid", "area", "age"]
    assert in_fitted_order([AGE, PAID, AREA], fitted) == (PAID, AREA, AGE)


def test_columns_stay_as_they_are_where_the_model_has_other_names_or_none() -> None:
    columns = (AGE, PAID, AREA)
    twins = (Column("a b", Datatype.FP64), Column("a_b", Datatype.FP64))
    assert in_fitted_order(columns, []) == columns
    assert in_fitted_order(columns, ["Column_0", "Column_1", "Column_2"]) == columns
    assert in_fitted_order(columns, ["area", "age"]) == columns
    assert in_fitted_order(twins, ["a_b"]) == twins


def test_classes_that_are_numbers_come_in_the_order_of_numbers() -> None:
    """A booster numbers its classes: its column 2 is of class 2, also where there is a class 10."""
    labels = [str(number) for number in range(12)]
    assert numbered(reversed(labels)) == labels
    assert numbered({"10", "9", "-1", "1.5"}) == ["-1", "1.5", "9", "10"]
    assert numbered({"tech", "billing", "10"}) == ["10", "billing", "tech"]
    assert numbered(["1.0", "1", "0"]) == numbered(["1", "1.0", "0"]) == ["0", "1", "1.0"]
