"""A bare page with live widgets, opened from the disk."""

import json
import shutil
from html import escape
from pathlib import Path

from lab import ROOT

LIVE = ROOT / "web" / "live"
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Live widgets</title>
<link rel="stylesheet" href="live.css">
<style>
body {{ max-width: 46rem; margin: 1rem auto; padding: 0 12px; }}
@media (prefers-color-scheme: dark) {{ :root {{ color-scheme: dark; background: #16181b; color: #e6e7e9 }} }}
</style>
</head>
<body><main><h1>Live widgets</h1>
{places}
</main>
{scripts}
</body></html>
"""


def write_page(folder: Path, places: list[tuple[str, dict]], name: str = "index.html") -> str:
    """Write a page with a place for each (widget, options) beside the scripts in `folder`: its address."""
    shutil.copytree(LIVE, folder, dirs_exist_ok=True)
    scripts = json.loads((LIVE / "scripts.json").read_text(encoding="utf-8"))
    divs = [
        f"<h2>{widget}</h2>\n<div class='live' data-live='{widget}' "
        f"data-options='{escape(json.dumps(options))}'><p>the static figure</p></div>"
        for widget, options in places
    ]
    tags = [f'<script defer src="{script}"></script>' for script in scripts]
    html = PAGE.format(places="\n".join(divs), scripts="\n".join(tags))
    (folder / name).write_text(html, encoding="utf-8")
    return (folder / name).as_uri()
