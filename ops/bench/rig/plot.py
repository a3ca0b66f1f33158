"""results.svg: CPU time per request as bars, with the range of the rounds."""

import html

from . import figures
from .figures import PARTS, Figure, Rounds
from .report import TITLES

WIDTH = 760
LABEL_WIDTH = 150
VALUE_WIDTH = 150
BAR, GAP, HEAD = 20, 8, 44
OURS, THEIRS = "#b4472d", "#8a94a0"
PART_COLOURS = ("#5b3a8c", "#2f6f8f", "#4f9d8a", "#c9a227")

STYLE = "font-family: system-ui, sans-serif; font-size: 13px; fill: #24292f"


class Canvas:
    """Grows downwards, a panel at a time."""

    def __init__(self):
        self.y = 12
        self.elements = []

    def text(self, x: float, text: str, more: str = "") -> None:
        self.elements.append(f'<text x="{x:.1f}" y="{self.y + BAR - 6}" {more}>{html.escape(text)}</text>')

    def bar(self, x: float, width: float, colour: str) -> None:
        self.elements.append(f'<rect x="{x:.1f}" y="{self.y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>')

    def range(self, x: float, to: float) -> None:
        middle = self.y + BAR / 2
        self.elements.append(f'<path d="M{x:.1f} {middle}H{to:.1f}" stroke="#24292f" stroke-width="1.5"/>')

    def title(self, text: str) -> None:
        self.text(0, text, 'font-weight="600"')
        self.y += HEAD - GAP * 2

    def row(self) -> None:
        self.y += BAR + GAP

    def svg(self) -> str:
        height = self.y + GAP
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 0 {WIDTH + 24} {height}" width="{WIDTH + 24}" '
            f'style="{STYLE}">\n<rect x="-12" width="{WIDTH + 24}" height="{height}" fill="#fff"/>\n'
            + "\n".join(self.elements)
            + "\n</svg>\n"
        )


def render(rounds: Rounds) -> str:
    canvas = Canvas()
    for work, title in TITLES.items():
        if names := figures.names(rounds, work):
            canvas.title(f"{title}: CPU µs a request")
            panel(canvas, rounds, work, names)
            canvas.y += HEAD - BAR
    return canvas.svg()


def panel(canvas: Canvas, rounds: Rounds, work: str, names: list[str]) -> None:
    bars = {name: figures.of(rounds, work, name) for name in names}
    stacked = PARTS if work == "signed" and figures.names(rounds, "part") else ()
    parts = {name: figures.of(rounds, "part", name) for name in stacked}
    widest = max([bar.most for bar in bars.values()] + [sum(part.median for part in parts.values())])
    scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / widest
    for name, value in bars.items():
        canvas.text(0, name)
        canvas.bar(LABEL_WIDTH, value.median * scale, OURS if name.startswith("portcullis") else THEIRS)
        canvas.range(LABEL_WIDTH + value.least * scale, LABEL_WIDTH + value.most * scale)
        canvas.text(LABEL_WIDTH + value.most * scale + 8, f"{value:.1f}")
        canvas.row()
    if parts:
        stack(canvas, parts, scale)


def stack(canvas: Canvas, parts: dict[str, Figure], scale: float) -> None:
    canvas.text(0, "its parts, alone")
    x = LABEL_WIDTH
    for value, colour in zip(parts.values(), PART_COLOURS):
        canvas.bar(x, value.median * scale, colour)
        x += value.median * scale
    canvas.text(x + 8, f"{sum(value.median for value in parts.values()):.1f}")
    canvas.row()
    x = LABEL_WIDTH
    for (name, value), colour in zip(parts.items(), PART_COLOURS):
        label = f"{name} {value.median:.1f}"
        canvas.text(x, label, f'style="fill: {colour}"')
        x += 8 * len(label)
    canvas.row()
