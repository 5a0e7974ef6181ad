"""A guess and a truth on one scale, in words and as a picture of a few lines of SVG."""

import html
import math

WIDTH, LEFT, RIGHT = 560, 30, 530  # pixels of the picture; the axis goes from LEFT to RIGHT
STYLE = "max-width:46em;line-height:1.5"


def show(value: float) -> str:
    """Four significant digits, without needless zeros: 0.8462, 7, 50.33."""
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def sentence(guess: float | str, truth: float, unit: str = "") -> str:
    """The guess, the truth and the distance between them: "you guessed 40, it is 50: 20 % too low"."""
    if isinstance(guess, str):
        return f"you passed; it is {measured(truth, unit)}"
    return f"you guessed {show(guess)}, it is {measured(truth, unit)}: {distance(guess, truth)}"


def measured(truth: float, unit: str = "") -> str:
    """A truth with its unit: "50 of 100"."""
    return f"{show(truth)} {unit}".rstrip()


def distance(guess: float, truth: float) -> str:
    """How far off a guess is: in per cent, as a factor from 2 on, as a difference where neither makes sense."""
    if show(guess) == show(truth):
        return "right"
    side = "low" if guess < truth else "high"
    if truth == 0 or guess / truth <= 0:
        return f"{show(abs(guess - truth))} too {side}"
    factor = max(guess / truth, truth / guess)
    if factor >= 2:
        return f"{show(float(f'{factor:.2g}'))} times too {side}"
    percent = 100 * abs(guess - truth) / abs(truth)
    return f"{percent:.0f} % too {side}" if percent >= 1 else f"less than 1 % too {side}"


def axis(values: list[float], low: float | None, high: float | None, log: bool) -> tuple[float, float, bool]:
    """Ends of a scale that holds all values, and whether it is logarithmic: where they lie far apart, it is."""
    positive = min(values) > 0 and (low is None or low > 0)
    log = positive and (log or (low is None and max(values) > 30 * min(values)))
    if log:
        start = min([*values, low] if low is not None else [min(values) / 2])
        end = max([*values, high] if high is not None else [max(values) * 2])
    else:
        start = min([*values, 0.0 if low is None else low])
        end = max([*values, 1.25 * max(values) if high is None else high])
    return start, end if end > start else start + 1, log


def place(value: float, start: float, end: float, log: bool) -> float:
    """Where a value lies on the axis, in pixels."""
    if log:
        value, start, end = math.log(value), math.log(start), math.log(end)
    return LEFT + (RIGHT - LEFT) * (value - start) / (end - start)


def closed(said: str) -> str:
    """The HTML of a sentence that stands in the place of the field."""
    return f'<div role="status" style="{STYLE}">{html.escape(said[0].upper() + said[1:])}.</div>'


def picture(guess: float | str, truth: float, low=None, high=None, log: bool = False) -> str:
    """SVG: the truth as a filled diamond below its number, the guess as a ring above its own."""
    values = [truth] if isinstance(guess, str) else [truth, guess]
    start, end, log = axis(values, low, high, log)
    at = place(truth, start, end, log)
    parts = [
        f'<path d="M{LEFT} 50H{RIGHT}M{LEFT} 45v10M{RIGHT} 45v10" stroke="currentColor" fill="none"/>',
        words(LEFT, 92, show(start), "start", 'opacity="0.75"'),
        words(RIGHT, 92, show(end) + (" (logarithmic)" if log else ""), "end", 'opacity="0.75"'),
    ]
    if not isinstance(guess, str):
        x = place(guess, start, end, log)
        parts.append(f'<path d="M{x:.1f} 50H{at:.1f}" stroke="#D55E00" stroke-width="5" opacity="0.6"/>')
        parts.append(
            f'<circle cx="{x:.1f}" cy="50" r="8" fill="none" stroke="currentColor" stroke-width="2.5"/>'
        )
        parts.append(words(x, 74, f"your guess {show(guess)}"))
    parts.append(f'<path d="M{at:.1f} 41l9 9l-9 9l-9 -9z" fill="currentColor"/>')
    parts.append(words(at, 30, f"measured {show(truth)}", style='font-weight="bold"'))
    return (
        f'<svg viewBox="0 0 {WIDTH} 100" width="{WIDTH}" style="max-width:100%;height:auto" aria-hidden="true" '
        f'font-family="sans-serif" font-size="14" fill="currentColor">{"".join(parts)}</svg>'
    )


def words(x: float, y: float, text: str, anchor: str = "", style: str = "") -> str:
    """A text of the picture; near an end of the axis it grows inwards."""
    anchor = anchor or ("start" if x < LEFT + 60 else "end" if x > RIGHT - 60 else "middle")
    x = {"start": max(x - 8, 4), "end": min(x + 8, WIDTH - 4), "middle": x}[anchor]
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" {style}>{html.escape(text)}</text>'


def page(name, guess, truth, unit, more="", low=None, high=None, log=False) -> str:
    """The HTML of a revealed truth: the sentence, which a screen reader reads, the scale, and what else there is."""
    said = sentence(guess, truth, unit)
    rest = f'<pre style="margin:0">{html.escape(more)}</pre>' if more else ""
    return (
        f'<div style="{STYLE}"><b>{html.escape(name)}</b>: {html.escape(said)}.</div>'
        f"{picture(guess, truth, low, high, log)}{rest}"
    )


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Rows as an HTML table; the first column names the row."""
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
    lines = [f"<tr>{head}</tr>"]
    for name, *cells in rows:
        found = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        lines.append(f'<tr><th scope="row" style="text-align:left">{html.escape(name)}</th>{found}</tr>')
    return f"<table>{''.join(lines)}</table>"
