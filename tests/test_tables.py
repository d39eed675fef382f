"""Tables are aligned."""

from npsqueeze.tables import table


def test_columns_rules_and_total():
    lines = table(("name", "size"), [("a", "1"), ("bb", "1,000"), ("all", "1,001")], total=True)
    assert lines.splitlines() == [
        "name   size",
        "-----------",
        "a         1",
        "bb    1,000",
        "-----------",
        "all   1,001",
    ]


def test_columns_on_the_left_without_trailing_spaces_or_total():
    lines = table(("x", "long name", "n"), [("abc", "y", ""), ("", "z", "3")], left=2)
    assert lines.splitlines() == [
        "x    long name  n",
        "-----------------",
        "abc  y",
        "     z          3",
    ]
