"""Where the book is published: the addresses of the repository from which the pages are built."""

import os
import re
import subprocess
from dataclasses import dataclass

from tools.chapters import ROOT
from tools.notebooks import repository

GITHUB = re.compile(r"github\.com[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?$")
COLAB = "https://colab.research.google.com/github"
PREPARED = "colab"  # the branch with notebooks that name their repository, written by the publishing workflow


@dataclass(frozen=True)
class Addresses:
    """The addresses of a page's notebook; `repository` is owner/name on GitHub, None where it is unknown."""

    repository: str | None
    branch: str = "main"

    def source(self, path: str) -> str | None:
        """A file of the repository on GitHub."""
        return self.repository and f"https://github.com/{self.repository}/blob/main/{path}"

    def colab(self, path: str) -> str | None:
        """A notebook of the repository, open in Colab."""
        return self.repository and f"{COLAB}/{self.repository}/blob/{self.branch}/{path}"


def addresses() -> Addresses:
    """Those of the workflow that builds, else of the git remote, else of pyproject.toml."""
    if built := os.environ.get("GITHUB_REPOSITORY"):
        return Addresses(built, PREPARED)
    return Addresses(remote() or repository())


def remote() -> str | None:
    """owner/name of the git remote `origin`, where that is on GitHub."""
    command = ["git", "config", "--get", "remote.origin.url"]
    try:
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    except OSError:  # no git here
        return None
    match = GITHUB.search(found.stdout.strip())
    return match[1] if match else None
