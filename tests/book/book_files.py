"""The files that belong to the book, also where it was unpacked from an archive and git knows none of it."""

import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

from tools.chapters import ROOT

GIT = shutil.which("git")


def book_files(root: Path = ROOT) -> list[Path]:
    """What git tracks and what it would add; without git, every file that .gitignore does not name."""
    if GIT and (root / ".git").exists():
        command = [GIT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=root, capture_output=True, text=True)
        if listed.returncode == 0:
            return [root / name for name in listed.stdout.split("\0") if (root / name).is_file()]
    ignored = (root / ".gitignore").read_text(encoding="utf-8").split()
    patterns = [line.rstrip("/") for line in ignored] + [".git"]

    def files(folder: Path):
        for path in sorted(folder.iterdir()):
            place = path.relative_to(root).as_posix()
            names = path.name, place, f"/{place}"
            if not any(fnmatch(name, pattern) for name in names for pattern in patterns):
                yield from files(path) if path.is_dir() else [path]

    return list(files(root))
