"""Display: what a notebook shows holds no markup of a record's, and a long column is thinned, not cut."""

from violet import display

EVIL = "<script>alert(1)</script>"


def test_texts_of_records_are_no_markup():
    shown = display.Explanation({"outcome": "reject", "detail": EVIL})._repr_html_()
    shown += display.table(["a", EVIL], [{"a": EVIL, EVIL: 1.5}], is_all=True)
    assert EVIL not in shown
    assert shown.count("&lt;script&gt;") == 3


def test_a_long_column_keeps_its_ends():
    drawn = display.chart(range(10_000), [0.0] * 9_999 + [1.0], "n", "y").svg
    points = drawn.partition('points="')[2].partition('"')[0].split()
    assert len(points) == 2_000
    assert points[0] != points[-1]
    assert float(points[-1].split(",")[1]) < float(points[0].split(",")[1])


def test_what_is_not_finite_is_not_drawn():
    assert display.chart([1, 2, 3], [None, float("nan"), 2.0], "n", "y").svg.count("<circle") == 1
