"""Calls that read or write text without naming its encoding: what they do depends on the machine."""

import ast

LIBRARIES = ("gzip", "bz2", "lzma", "io")  # their `open` takes the file first, as the built-in does


def nameless(tree: ast.AST) -> list[ast.Call]:
    """Every `open`, `read_text` and `write_text` of text below a node that names no encoding."""
    return [n for n in ast.walk(tree) if isinstance(n, ast.Call) and reads_text(n) and not names_encoding(n)]


def reads_text(call: ast.Call) -> bool:
    """Whether a call opens, reads or writes a text file."""
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    if name != "open":
        return name in ("read_text", "write_text") and isinstance(call.func, ast.Attribute)  # of a path
    module = getattr(getattr(call.func, "value", None), "id", None)  # a name before the dot
    if module == "os":  # a file descriptor
        return False
    built_in = isinstance(call.func, ast.Name) or module in LIBRARIES
    mode = "rb" if module in LIBRARIES else "r"
    for given in [*call.args[built_in : built_in + 1], *(k.value for k in call.keywords if k.arg == "mode")]:
        mode = given.value if isinstance(given, ast.Constant) else None
    return isinstance(mode, str) and set(mode) <= set("rwaxt+")


def names_encoding(call: ast.Call) -> bool:
    """As a keyword, among unpacked ones, or by its place."""
    place = {"read_text": 0, "write_text": 1, "open": 3}[getattr(call.func, "attr", "open")]
    return len(call.args) > place or any(k.arg in ("encoding", None) for k in call.keywords)
