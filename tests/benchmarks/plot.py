"""How does cost grow?  Points and lines, as SVG."""

from html import escape
from typing import Final

from tests.benchmarks.measuring import Curve

WIDTH: Final = 640
HEIGHT: Final = 400
LEFT, RIGHT, TOP, BOTTOM = 90, 20, 40, 60
COLOURS: Final = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")
TICKS: Final = 5


def draw(title: str, curves: dict[str, Curve], axes: tuple[str, str]) -> str:
    """Return a picture of some curves; both axes begin at zero."""
    points = [point for curve in curves.values() for point in curve]
    most_x = max((x for x, _ in points), default=1) or 1
    most_y = 1.05 * max((y for _, y in points), default=1) or 1

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + x / most_x * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - y / most_y * (HEIGHT - TOP - BOTTOM),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"'
        f' viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(WIDTH / 2, 22, title, size=14),
        _text(WIDTH / 2, HEIGHT - 14, axes[0]),
        f'<g transform="rotate(-90 16 {HEIGHT / 2})">'
        f"{_text(16, HEIGHT / 2, axes[1])}</g>",
    ]
    for number in range(TICKS + 1):
        x, y = most_x * number / TICKS, most_y * number / TICKS
        across, bottom = place(x, 0)
        left, down = place(0, y)
        right, _ = place(most_x, y)
        parts += [
            f'<path d="M{left:.1f} {down:.1f}H{right:.1f}" stroke="#ddd"/>',
            _text(across, bottom + 18, short(x)),
            _text(left - 6, down + 4, short(y), anchor="end"),
        ]
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [place(x, y) for x, y in curve]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
            for x, y in places
        ]
        height = TOP + 16 * (number + 1)
        parts.append(_text(LEFT + 12, height, name, anchor="start", fill=colour))
    return "\n".join([*parts, "</svg>", ""])


def short(value: float) -> str:
    """Return a number in three digits and a letter."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "middle",
    size: int = 12,
    fill: str = "#222",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'fill="{fill}">{escape(text)}</text>'
    )
