"""Matplotlib's axes as inline SVG that takes its colours, fonts and width from the page.

Matplotlib's own SVG has fixed colours, fonts and proportions: on a phone its text would shrink to five pixels. Here
the artists are drawn by matplotlib through a renderer that keeps their outlines as whole numbers in a box of 2000 by
1000, which the page stretches; strokes keep their width, and the ticks' labels are set by the page. An artist's gid
names its CSS class. Nothing carries an id or a style, so a strict content security policy holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase, RendererBase
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Transform

WIDTH, HEIGHT = 2000, 1000
NARROWEST = 12


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on an axis, `at` percent of its length from the left or the top; minor ones go first on a phone."""

    at: float
    label: str
    minor: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """The parts of a chart. `shapes` is SVG inside a box of WIDTH by HEIGHT."""

    shapes: Markup
    x: Sequence[Tick]
    y: Sequence[Tick]
    legend: Sequence[tuple[str, str]]


def canvas(scale: Literal["linear", "log", "symlog"] = "linear", of: str = "") -> Axes:
    """Empty axes that fill a figure of WIDTH by HEIGHT; the same ones again once `plot` has read the last drawing.

    Making axes takes matplotlib longer than drawing in them, and a report has hundreds; setting a scale anew does too, so that
    each kind of chart (`of`) has its own.
    """
    axes = _axes(scale, of)
    for artist in (*axes.lines, *axes.patches):
        artist.remove()
    return axes


@cache
def _axes(scale: Literal["linear", "log", "symlog"], _of: str) -> Axes:
    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100)
    FigureCanvasBase(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_yscale(scale)
    axes.set_autoscale_on(False)  # every chart sets its own limits
    return axes


def plot(axes: Axes, x: Sequence[tuple[float, str]], y: Sequence[tuple[float, str]]) -> Plot:
    """What was drawn on `axes`, with ticks at the given values; those outside the axes go."""
    renderer = _Shapes()
    legend: dict[str, str] = {}
    artists = sorted([*axes.patches, *axes.lines], key=lambda artist: artist.get_zorder())
    for artist in artists:
        artist.draw(renderer)
        label = str(artist.get_label())
        if label and not label.startswith("_"):
            legend.setdefault(label, str(artist.get_gid()))
    to_box = axes.transData
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    across = [(float(to_box.transform((v, low))[0]) / WIDTH * 100, text) for v, text in x if left <= v <= right]
    up = [(100 - float(to_box.transform((left, v))[1]) / HEIGHT * 100, text) for v, text in y if low <= v <= high]
    every = max(1, -(-len(across) // 4))
    return Plot(
        shapes=Markup("").join(renderer.found),
        x=[Tick(round(at, 2), text, minor=index % every != 0) for index, (at, text) in enumerate(across)],
        y=[Tick(round(at, 2), text) for at, text in up],
        legend=[(name, label) for label, name in legend.items()],
    )


class _Shapes(RendererBase):
    """Keeps the outlines of what is drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Markup] = []
        self._class = ""

    def open_group(self, s: str, gid: str | None = None) -> None:
        self._class = gid or self._class

    def get_canvas_width_height(self) -> tuple[float, float]:
        return WIDTH, HEIGHT

    def points_to_pixels(self, points: Any) -> Any:
        return points

    def draw_path(self, gc: Any, path: Path, transform: Transform, rgbFace: Any = None) -> None:  # noqa: N803 – matplotlib's name
        flipped = transform + Affine2D().scale(1, -1).translate(0, HEIGHT)
        outline = path_data(path.cleaned(transform=flipped, remove_nans=True, curves=True, simplify=False))
        if outline:
            self.found.append(Markup('<path class="{}" d="{}"/>').format(self._class, outline))


def path_data(path: Path) -> str:
    """An outline as SVG path data: whole numbers, relative, with no point that the one before it hides, level and upright
    stretches in one stroke."""
    if path.codes is None:
        return ""
    moves: list[tuple[str, int, int]] = []
    x = y = 0
    points = np.asarray(path.vertices, dtype=float).clip(-4 * WIDTH, 4 * WIDTH).round().astype(int).tolist()
    for (to_x, to_y), code in zip(points, np.asarray(path.codes).tolist(), strict=True):
        across, down = to_x - x, to_y - y
        if code == Path.MOVETO:
            moves.append(("M", to_x, to_y))
        elif code == Path.CLOSEPOLY:
            moves.append(("z", 0, 0))
            continue
        elif code != Path.LINETO or not (across or down):
            continue
        else:
            kind, before_x, before_y = moves[-1] if moves else ("", 0, 0)
            level = kind == "l" and not (down or before_y) and across * before_x > 0
            upright = kind == "l" and not (across or before_x) and down * before_y > 0
            if level or upright:
                moves[-1] = ("l", before_x + across, before_y + down)
            else:
                moves.append(("l", across, down))
        x, y = to_x, to_y
    return "".join(_stroke(*move) for move in moves)


def _stroke(kind: str, across: int, down: int) -> str:
    if kind == "z":
        return "z"
    if kind == "l" and not down:
        return f"h{across}"
    if kind == "l" and not across:
        return f"v{down}"
    return f"{kind}{across} {down}" if down >= 0 else f"{kind}{across}{down}"


def rectangle(css: str, left: float, right: float, title: str, top: int = 0, height: int = HEIGHT) -> Markup:
    """A band, from top to bottom if not said otherwise; `left` and `right` are shares of the width (0..1). At least
    NARROWEST wide, so that ten minutes of a month, or what begins now, can be seen."""
    x = round(max(0.0, left) * WIDTH)
    width = max(NARROWEST, round(min(1.0, right) * WIDTH) - x)
    x = min(x, WIDTH - width)
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
        css, x, top, width, height, escape(title)
    )
