"""fanout.svg: memory and CPU time as bars, with the range of the rounds."""

from rig.plot import HEAD, LABEL_WIDTH, OURS, THEIRS, VALUE_WIDTH, WIDTH, BAR, Canvas

from .report import TITLES, Rounds, names, of

# Names of transports are longer than those of gateways.
LABELS = LABEL_WIDTH + 90


def render(rounds: Rounds) -> str:
    canvas = Canvas()
    for work, title in TITLES.items():
        if not names(rounds, work):
            continue
        canvas.title(title)
        bars = {name: of(rounds, work, name, "kib" if work == "idle" else "cpu_us") for name in names(rounds, work)}
        scale = (WIDTH - LABELS - VALUE_WIDTH) / max(bar.most for bar in bars.values())
        for name, bar in bars.items():
            canvas.text(0, name)
            canvas.bar(LABELS, bar.median * scale, OURS if name.startswith("portcullis") else THEIRS)
            canvas.range(LABELS + bar.least * scale, LABELS + bar.most * scale)
            canvas.text(LABELS + bar.most * scale + 8, f"{bar:.1f}")
            canvas.row()
        canvas.y += HEAD - BAR
    return canvas.svg()
