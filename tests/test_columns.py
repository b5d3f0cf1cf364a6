"""Text in columns, for a terminal."""

from bench.columns import align


def test_columns_are_as_wide_as_their_widest_text_and_numbers_stand_right():
    assert align([("name", "n", "x"), ("a", "10", "")], right={1}) == ["name   n  x", "a     10"]


def test_a_row_that_ends_early_runs_on_over_the_columns_it_lacks():
    assert align([("a", "b", "c"), ("d", "a long sentence")]) == ["a  b  c", "d  a long sentence"]


def test_signs_of_double_width_count_double():
    assert align([("日本", "x"), ("abcd", "x")]) == ["日本  x", "abcd  x"]
