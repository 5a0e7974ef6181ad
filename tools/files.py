"""JSON files that are never half written."""

import json
from pathlib import Path

from gptlib.files import write_text


def write_json(path: Path, value) -> None:
    """Write a value as JSON, whole or not at all, in a folder that is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(value, indent=1) + "\n")
