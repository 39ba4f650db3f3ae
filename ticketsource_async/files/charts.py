"""Draw charts as SVG for a page, without scripts, styles, fonts or files to load.

matplotlib draws a chart in pixels of CSS, the unit of the page. The colours are variables of the page. matplotlib gets
no text of the API: it reads "$" as mathematics, and it knows few scripts. The browser writes the texts with its own
fonts.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from io import StringIO
from math import isnan, nan
from typing import TYPE_CHECKING, Final, Literal
from xml.etree import ElementTree as ET

from ticketsource_async.errors import ConfigurationError
from ticketsource_async.reports.charting import NO_SUM, Bar, Point, Scale, scale_of, short, tick, with_ticks

if TYPE_CHECKING:
    from matplotlib.patches import Patch

Colour = Literal["ink", "muted", "grid", "bar", "below"]
Place = Literal["left", "center", "right"]

_COLOURS: Final[dict[Colour, str]] = {
    "ink": "#000001",
    "muted": "#000002",
    "grid": "#000003",
    "bar": "#000004",
    "below": "#000005",
}
"""The colours that matplotlib draws with. They are replaced by variables of the page, which sets the real colours."""

_BY_CODE: Final = {code: f"var(--{name})" for name, code in _COLOURS.items()}

_WIDTHS: Final = {"narrow": 360, "wide": 720}
"""The widths of a chart, for telephones and for wider screens, with letters of one size. The name is the CSS class."""

_LETTER: Final = 13  # the size of a letter, in pixels
_SMALL: Final = 12
_MOST_DOTS: Final = 31


class _Chart:
    """A drawing with the origin at the top left, and its texts."""

    def __init__(self, width: float, height: float) -> None:
        from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 - an extra, and slow to load
        from matplotlib.figure import Figure  # noqa: PLC0415
        from matplotlib.transforms import Affine2D  # noqa: PLC0415

        self._figure = Figure(figsize=(width / 72, height / 72), dpi=72, frameon=False)
        FigureCanvasSVG(self._figure)  # no other, which may need a display
        self._upside_down = Affine2D().scale(1, -1).translate(0, height)
        self._texts: list[str] = []
        self.width, self.height = width, height

    def text(
        self, x: float, y: float, text: str, *, at: Place = "left", colour: Colour = "ink", size: int = _LETTER
    ) -> None:
        """Write text on a baseline; `at` says whether x is its left end, its middle or its right end."""
        self._figure.text(
            *(x, y, str(len(self._texts))),
            transform=self._upside_down,
            ha=at,
            va="baseline",
            color=_COLOURS[colour],
            fontsize=size,
        )
        self._texts.append(text)

    def line(self, x: Sequence[float], y: Sequence[float], colour: Colour, width: float) -> None:
        """Draw a line with a gap where y is nan."""
        from matplotlib.lines import Line2D  # noqa: PLC0415 - as above

        line = Line2D(x, y, color=_COLOURS[colour], linewidth=width, transform=self._upside_down)
        self._figure.add_artist(line)

    def rectangle(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill a rectangle."""
        from matplotlib.patches import Rectangle  # noqa: PLC0415 - as above

        self._fill(Rectangle((left, top), right - left, bottom - top, color=_COLOURS[colour], linewidth=0))

    def dot(self, x: float, y: float, colour: Colour) -> None:
        """Fill a small circle."""
        from matplotlib.patches import Circle  # noqa: PLC0415 - as above

        self._fill(Circle((x, y), 3, color=_COLOURS[colour], linewidth=0))

    def _fill(self, shape: "Patch") -> None:
        shape.set_transform(self._upside_down)
        self._figure.add_artist(shape)

    def svg(self, alternative: str, css_class: str) -> str:
        """Return the drawing as an SVG element; `alternative` is the text for readers who cannot see it."""
        made = StringIO()
        self._figure.savefig(made, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
        root = ET.fromstring(made.getvalue())  # noqa: S314 - of what this process has drawn, without any text of others
        for parent in root.iter():
            for child in list(parent):
                if child.tag.endswith(("}defs", "}metadata")):  # its style would apply to the whole page
                    parent.remove(child)
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
            element.attrib.pop("id", None)  # another chart of the page has the same
            if element.tag == "text":
                _write_text(element, self._texts[int(element.text or "")])
            if style := element.get("style"):
                element.set("style", re.sub("#[0-9a-f]{6}", lambda code: _BY_CODE[code[0]], style))
        root.attrib = {"viewBox": root.attrib["viewBox"], "class": css_class, "role": "img", "aria-label": alternative}
        return ET.tostring(root, "unicode")


def _write_text(element: ET.Element, text: str) -> None:
    """Put this text into an element of a drawing, in the font of the page."""
    style = dict(part.strip().split(": ", 1) for part in element.attrib["style"].split(";") if part.strip())
    element.attrib = {name: element.attrib[name] for name in ("x", "y")}
    element.set("style", "; ".join(f"{name}: {value}" for name, value in style.items() if name != "font-family"))
    element.text = text


def check_extra() -> None:
    """Raise `ConfigurationError` if there is no matplotlib."""
    try:
        import matplotlib as mpl  # noqa: F401, PLC0415 - an extra
    except ModuleNotFoundError:
        raise ConfigurationError(
            "To draw a chart, install an extra: pip install 'ticketsource-async[report]'"
        ) from None


@contextmanager
def _without_settings() -> Iterator[None]:
    """Let matplotlib use its default settings, not those of the program or the user."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "", "text.parse_math": False})
        yield


def bar_chart(bars: Sequence[Bar], scale: Scale, alternative: str) -> tuple[str, ...]:
    """Return the drawings of horizontal bars, each with its name, its detail and its amount as text.

    Raises `ConfigurationError` without the extra `report`.
    """
    check_extra()
    with _without_settings():
        return tuple(_bars(bars, scale, width).svg(alternative, name) for name, width in _WIDTHS.items())


def _bars(bars: Sequence[Bar], scale: Scale, width: int) -> _Chart:
    narrow = width == _WIDTHS["narrow"]  # there a bar stands below its name
    height = 56 if narrow else 42
    chart = _Chart(width, height * len(bars))
    left, right = (0.0, float(width)) if narrow else (width * 0.46, width * 0.84)
    room, detail_room = (width * 0.68, width) if narrow else (width * 0.44, width * 0.44)
    zero = left + (right - left) * scale.place(Decimal(0))
    for number, bar in enumerate(bars):
        top = number * height
        chart.text(0, top + 16, shortened(bar.name, room / _LETTER))
        chart.text(0, top + 32, shortened(bar.detail, detail_room / _SMALL), colour="muted", size=_SMALL)
        amount = NO_SUM if bar.amount is None else short(bar.amount)
        chart.text(width, top + (16 if narrow else 25), amount, at="right")
        over, under = (top + 38, top + 48) if narrow else (top + 8, top + 32)
        if bar.amount:
            end = left + (right - left) * scale.place(bar.amount)
            chart.rectangle(min(zero, end), over, max(zero, end), under, "bar" if bar.amount > 0 else "below")
        chart.line((zero, zero), (over - 3, under + 3), "muted", 1)
    return chart


def line_chart(points: Sequence[Point], alternative: str) -> tuple[str, ...]:
    """Return the drawings of a line of amounts over time, with a gap where an amount is missing.

    Raises `ConfigurationError` without the extra `report`.
    """
    check_extra()
    scale = with_ticks(scale_of(point.amount for point in points), 4)
    with _without_settings():
        return tuple(_line(points, scale, width).svg(alternative, name) for name, width in _WIDTHS.items())


def _line(points: Sequence[Point], scale: Scale, width: int) -> _Chart:
    height, top, bottom = 260, 14, 228
    left = max(len(tick(amount)) for amount in scale.ticks) * _SMALL * 0.6 + 8
    across = (width - left - 8) / max(1, len(points) - 1)
    x = [left + across * number for number in range(len(points))] if len(points) > 1 else [(left + width) / 2]
    y = [nan if p.amount is None else bottom - (bottom - top) * scale.place(p.amount) for p in points]
    chart = _Chart(width, height)
    for amount in scale.ticks:
        level = bottom - (bottom - top) * scale.place(amount)
        chart.line((left, width), (level, level), "muted" if amount == 0 else "grid", 1)
        chart.text(left - 6, level + 4, tick(amount), at="right", colour="muted", size=_SMALL)
    chart.line(x, y, "bar", 2)
    for number in range(len(points)):
        if not isnan(y[number]) and (len(points) <= _MOST_DOTS or _is_alone(y, number)):
            chart.dot(x[number], y[number], "bar")
    _name_ends(chart, points, left)
    return chart


def _is_alone(y: list[float], number: int) -> bool:
    """Say whether a point has no neighbour to draw a line to."""
    beside = y[max(0, number - 1) : number] + y[number + 1 : number + 2]
    return all(isnan(value) for value in beside)


def _name_ends(chart: _Chart, points: Sequence[Point], left: float) -> None:
    """Name the first point, the last one and, where there is room, the one between them."""
    places: dict[int, tuple[float, Place]] = {}
    if len(points) == 1:
        places[0] = (left + chart.width) / 2, "center"
    elif points:
        places = {0: (left, "left"), len(points) - 1: (chart.width, "right")}
        if len(points) % 2 and len(points) > 2 and chart.width > _WIDTHS["narrow"]:
            places[len(points) // 2] = (left + chart.width - 8) / 2, "center"
    for number, (x, at) in places.items():
        chart.text(x, chart.height - 8, points[number].name, at=at, colour="muted", size=_SMALL)


def shortened(text: str, room: float) -> str:
    """Return the part of a text that surely fits into `room` letter sizes, with an ellipsis if the text is cut."""
    used = 0.0
    fits = 0  # the number of characters that fit, with their accents
    for number, letter in enumerate(text):
        used += _width(letter)
        if used > room:
            return text[:fits].rstrip() + "\u2026"
        if used <= room - 1:
            fits = number + 1
    return text


def _width(letter: str) -> float:
    """Return the greatest width of a letter in usual screen fonts, as a fraction of the font size."""
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.1
    if letter in "fijlrtI.,:;'!|()-/ ":
        return 0.4
    if letter in "MWmw%@":
        return 1
    return 0.74 if letter.isupper() else 0.6
