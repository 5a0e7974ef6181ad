"""How the widgets show tokens and errors as text, and how they read text fields."""

VISIBLE = {" ": "␣", "\n": "⏎", "\t": "⇥", "": "∅"}


def visible(token: str) -> str:
    """The token with its whitespace made visible and unprintable characters escaped: "a\\n" is "a⏎"."""
    if not token:
        return VISIBLE[""]
    return "".join(VISIBLE.get(c) or (c if c.isprintable() else ascii(c)[1:-1]) for c in token)


def typed(text: str) -> str:
    """The text as a one-line field holds it: each line break becomes the two characters `\\n`."""
    return text.replace("\n", "\\n")


def untyped(field: str) -> str:
    """The text that a one-line field stands for: the inverse of `typed`."""
    return field.replace("\\n", "\n")


def complaint(error: Exception) -> str:
    """The error's first line; any type but ValueError is named, because its text may not explain itself."""
    line = (str(error).splitlines() or [""])[0]
    return line if isinstance(error, ValueError) and line else f"{type(error).__name__}: {line}"
