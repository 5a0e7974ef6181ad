"""How the widgets show and read text: tokens made visible, messages escaped, line breaks typed as \\n."""

import html

VISIBLE = {" ": "␣", "\n": "⏎", "\t": "⇥", "": "∅"}


def visible(token: str) -> str:
    """The token with its whitespace made visible and unprintable characters spelled out: `"a\\n"` is `a⏎`."""
    if not token:
        return VISIBLE[""]
    return "".join(VISIBLE.get(c) or (c if c.isprintable() else ascii(c)[1:-1]) for c in token)


def typed(text: str) -> str:
    """The text as a one-line input field holds it: a line break is written as the two characters `\\n`."""
    return text.replace("\n", "\\n")


def untyped(field: str) -> str:
    """The text that a one-line input field means: the inverse of `typed`."""
    return field.replace("\\n", "\n")


def complaint(error: Exception) -> str:
    """One line that tells a reader what went wrong; ValueErrors carry the book's own wording."""
    line = (str(error).splitlines() or [""])[0]
    return line if isinstance(error, ValueError) and line else f"{type(error).__name__}: {line}"


def message_html(text: str) -> str:
    """A message, escaped, in a box that screen readers announce; nothing at all for an empty text."""
    if not text:
        return ""
    # colours of its own, because a page may be dark
    style = "border-left:4px solid #D55E00;background:#fff;color:#000;padding:4px 8px;font-size:14px"
    return f'<div role="status" style="{style};line-height:1.4">{html.escape(text)}</div>'
