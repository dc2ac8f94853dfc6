"""The table at the end of a soak."""

from tests.soak import table


def test_every_figure_that_a_test_has_is_a_column() -> None:
    rows: list[tuple[str, dict[str, object]]] = [("kill", {"rounds": 200, "lost": 0}), ("cut", {"rounds": 5, "s": 1})]
    assert table(rows) == [
        "      rounds  lost  s",
        "kill     200     0",
        "cut        5        1",
    ]


def test_no_rows_make_no_table() -> None:
    assert table([]) == []
