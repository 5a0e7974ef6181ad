"""The HTML of the widgets."""

import html

from gptlib.widgets.kit.palette import BLACK, GREY, VERMILLION, WHITE

# The page may be dark, so every box sets both colours.
STYLE = f"background:{WHITE};color:{BLACK};font-size:14px;line-height:1.4;padding:6px 8px"
MONOSPACE = "Menlo,Consolas,'DejaVu Sans Mono',monospace"
LINE = "max-width:46em"  # longer lines are hard to read


def box(content: str, style: str = "", attributes: str = "") -> str:
    """HTML in the widgets' style; `style` adds to it, `content` is not escaped."""
    return f'<div {attributes} style="{STYLE};{style}">{content}</div>'


def message_html(text: str) -> str:
    """An escaped message in a box that screen readers announce; "" for an empty text."""
    if not text:
        return ""
    return box(html.escape(text), f"border-left:4px solid {VERMILLION};{LINE}", 'role="status"')


def written(prompt: str, continuation: str, style: str = "") -> str:
    """The text that a model writes: the prompt in bold, then its continuation, both escaped."""
    frame = f"border:1px solid {GREY};{LINE};white-space:pre-wrap;overflow-wrap:anywhere"
    words = f"<b>{html.escape(prompt)}</b>{html.escape(continuation)}"
    return box(words, f"{frame};font:15px/1.4 {MONOSPACE};{style}")
