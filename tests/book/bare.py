"""Import every module that the notebooks export, and the command line, where nothing else is installed."""

import importlib
import tomllib
from pathlib import Path

rows = tomllib.loads((Path(__file__).resolve().parents[2] / "chapters.toml").read_text(encoding="utf-8"))
modules = [module for row in rows.values() for module in row["modules"]]
for module in [*modules, "cli"]:
    importlib.import_module(f"gptlib.{module}")
print(f"{len(modules)} modules and the command line")
