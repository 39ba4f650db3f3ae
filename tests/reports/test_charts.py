"""Charts as SVG."""

import re
import sys
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest

from ticketsource_async.errors import ConfigurationError
from ticketsource_async.files.charts import bar_chart, line_chart, shortened
from ticketsource_async.reports.charting import Bar, Point, scale_of

HOSTILE = (
    "<script>alert(1)</script>",
    '" onload="alert(1)',
    "</svg></text>]]><!--",
    "$5 night $x^2$ \\frac{1}{",
    "{{ 7 * 7 }}",
    "W" * 200,
    "ليلة الموسيقى",
    "春のコンサート",
    "\U0001f3ad\U0001f9d1\u200d\U0001f3a4",
    "two\nlines\tand a tab",
    "\u202eevil",
    "17",
)
BARS = [Bar(name, name, Decimal(number)) for number, name in enumerate(HOSTILE, 1)]


def texts(svg: str) -> list[str]:
    """Return the texts of a drawing."""
    return [element.text or "" for element in ET.fromstring(svg).iter("text")]


def shapes(svg: str) -> list[str]:
    """Return the filled shapes of a drawing."""
    return re.findall(r'<path d="([^"]*)" style="fill: var\(--(?:bar|below)\)', svg)


def test_any_name_is_drawn_as_text(recwarn: pytest.WarningsRecorder) -> None:
    """Each name gives the same elements. matplotlib warns of no letter and reads no formula."""
    for bar in BARS:
        plain, odd = (bar_chart([b], scale_of([Decimal(3)]), b.name) for b in (Bar("x", "x", Decimal(3)), bar))
        for drawing, plain_drawing in zip(odd, plain, strict=True):
            root = ET.fromstring(drawing)
            assert [e.tag for e in root.iter()] == [e.tag for e in ET.fromstring(plain_drawing).iter()]
            assert root.get("aria-label") == bar.name
            assert all(bar.name.startswith(text.rstrip("\u2026")) for text in texts(drawing)[:2])
    assert not recwarn.list


def test_a_drawing_has_no_style_id_link_or_font() -> None:
    """So it does not change the page around it, and loads nothing."""
    for drawing in (*bar_chart(BARS, scale_of([Decimal(9)]), ""), *line_chart([Point("a", Decimal(1))] * 3, "")):
        assert re.findall(r"<style|\sid=|href|url\(|http|font-family|<!|<\?|#[0-9a-f]{6}", drawing) == []
        assert {element.tag for element in ET.fromstring(drawing).iter()} == {"svg", "g", "path", "text"}


def test_the_same_amounts_make_the_same_drawing() -> None:
    """The settings of matplotlib in the program do not matter. So two pages can be compared."""
    import matplotlib as mpl

    before = (bar_chart(BARS, scale_of([Decimal(9)]), "x"), line_chart([Point("a", Decimal(1))], "x"))
    with mpl.rc_context({"font.size": 30, "text.color": "red", "axes.linewidth": 9, "text.usetex": True}):
        after = (bar_chart(BARS, scale_of([Decimal(9)]), "x"), line_chart([Point("a", Decimal(1))], "x"))
        assert mpl.rcParams["font.size"] == 30

    assert after == before


def test_the_length_of_a_bar_shows_its_amount() -> None:
    """A negative amount is on the other side. Zero and a missing sum have only a text."""
    amounts = [Decimal(100), Decimal(50), Decimal(-100), Decimal(0), None]
    narrow, wide = bar_chart([Bar("x", "", amount) for amount in amounts], scale_of(amounts), "")

    for drawing in (narrow, wide):
        sides = [sorted({float(x) for x in re.findall(r"[ML] ([0-9.]+) ", path)}) for path in shapes(drawing)]
        full, half, below = sides
        assert full[0] == half[0] == below[1]
        assert [round(s[1] - s[0], 3) / (full[1] - full[0]) for s in sides] == pytest.approx([1, 0.5, 1], abs=0.001)
        assert [text for text in texts(drawing) if text not in ("x", "")] == [
            "100.00",
            "50.00",
            "-100.00",
            "0.00",
            "no sum",
        ]
    assert drawing.count("var(--below)") == 1


@pytest.mark.parametrize(
    "amounts",
    [(None,), (None, None), (0,), (-5, -6), ("1E+100", 1), ("-1E+400", "1E-400"), tuple(range(8000)), (1, None) * 900],
)
def test_any_amounts_can_be_drawn(amounts: tuple[int | str | None, ...], recwarn: pytest.WarningsRecorder) -> None:
    """All of them may be missing, or one may be extremely large."""
    found = [None if amount is None else Decimal(amount) for amount in amounts]

    for drawing in line_chart([Point("1 Jan 2026", amount) for amount in found], "x"):
        assert "nan" not in drawing
        assert "inf" not in drawing
    for drawing in bar_chart([Bar("x", "", amount) for amount in found[:20]], scale_of(found), "x"):
        assert "nan" not in drawing
        assert "inf" not in drawing
    assert not recwarn.list


def test_a_line_is_interrupted_at_a_missing_amount_and_a_lone_amount_is_a_dot() -> None:
    """Otherwise the lone amount would be invisible."""
    amounts = [*range(20), None, 7, None, *range(20)]
    drawing = line_chart([Point("x", None if a is None else Decimal(a)) for a in amounts], "")[0]

    (line,) = re.findall(r'<path d="([^"]*)" style="fill: none; stroke: var\(--bar\)', drawing)
    assert line.count("M") == 3
    assert len(shapes(drawing)) == 1


def test_the_ends_of_a_line_have_labels() -> None:
    """Its middle has one too if there is room."""
    points = [Point(str(number), Decimal(number)) for number in range(100, 105)]
    narrow, wide = (texts(drawing)[-3:] for drawing in line_chart(points, ""))

    assert narrow[-2:] == ["100", "104"]
    assert wide == ["100", "104", "102"]
    assert texts(line_chart(points[:1], "")[0])[-1] == "100"


@pytest.mark.parametrize(
    ("text", "room", "expected"),
    [
        ("Winter Songs", 20, "Winter Songs"),
        ("Winter Songs", 6, "Winter S\u2026"),
        ("WWWWWWWWWW", 6, "WWWWW\u2026"),
        ("春のコンサート", 6, "春のコン\u2026"),
        ("e\u0301" * 20, 6, "e\u0301" * 8 + "\u2026"),
        ("a b c d e f g h i j", 4, "a b c\u2026"),
        ("", 6, ""),
    ],
)
def test_a_long_name_ends_in_an_ellipsis(text: str, room: float, expected: str) -> None:
    """It is cut between letters, and a wide letter takes more room."""
    assert shortened(text, room) == expected


def test_a_chart_without_the_extra_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to install it."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'ticketsource-async\[report\]'"):
        bar_chart([], scale_of([]), "")
    with pytest.raises(ConfigurationError, match=r"pip install 'ticketsource-async\[report\]'"):
        line_chart([], "")
