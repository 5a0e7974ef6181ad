"""The project's files agree with each other: requirements, environment, commands, README."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gptlib.exercises.chapter import read_notebook, source_of, tags_of

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pins_of(text: str) -> dict[str, str]:
    """name -> version of every `name==version` line."""
    requirements = [
        Requirement(line) for line in text.splitlines() if line.strip() and not line.startswith("#")
    ]
    return {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in requirements}


def unmet(requirements: list[str], pins: dict[str, str]) -> list[str]:
    """The requirements that have no pin, or one that they do not admit."""
    wanted = [Requirement(line) for line in requirements if not line.startswith("gptlib")]
    return [str(r) for r in wanted if not r.specifier.contains(pins.get(canonicalize_name(r.name), "0"))]


def wrong_in_environment(text: str, pins: dict[str, str]) -> list[str]:
    """What environment.yml holds that it should not, or lacks."""
    parsed = yaml.safe_load(text)
    complaints = [f"key {key}" for key in parsed.keys() - {"name", "channels", "dependencies"}]
    *conda, pip = parsed["dependencies"]
    complaints += [line for line in conda if not re.fullmatch(r"python=3\.1[1-9]|pip", line)]
    *lines, own = pip["pip"]
    complaints += [own] if own != "-e .[dev]" else []
    found = pins_of("\n".join(lines))
    differing = sorted(name for name in found.keys() | pins.keys() if found.get(name) != pins.get(name))
    return complaints + [f"{name}: {found.get(name)} here, pinned {pins.get(name)}" for name in differing]


def targets(makefile: str) -> set[str]:
    """The names that `make NAME` knows."""
    return set(re.findall(r"^([a-z]+):", makefile, flags=re.M))


def broken_links(markdown: str, folder: Path) -> list[str]:
    """Relative links to files that do not exist."""
    links = re.findall(r"\]\(([^)#\s]+)", markdown)
    return [link for link in links if "://" not in link and not (folder / link).exists()]


def tracked_files() -> list[Path]:
    """The files of the repository; where there is no git, everything but what it would ignore."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]
    ignored = {
        ".venv",
        "__pycache__",
        "runs",
        ".pytest_cache",
        ".ruff_cache",
        ".hypothesis",
        "tinyshakespeare",
    }
    return [path for path in ROOT.rglob("*") if path.is_file() and not ignored & set(path.parts)]


def machine_paths(text: str) -> list[str]:
    """Paths of somebody's machine."""
    return re.findall(r"(?<![\w.~])/(?:root|home/\w+|Users/\w+|work|mnt)/\S*", text)


PINS = pins_of((ROOT / "constraints.txt").read_text())


def test_every_requirement_has_a_pin_that_it_admits():
    assert unmet([*PROJECT["dependencies"], *EXTRAS["book"], *EXTRAS["dev"]], PINS) == []
    assert unmet(["torch>=99", "nosuch>=1"], PINS) == ["torch>=99", "nosuch>=1"]


def test_bounds_are_loose():
    for line in [*PROJECT["dependencies"], *EXTRAS["book"]]:
        assert all(clause.operator == ">=" for clause in Requirement(line).specifier), line
    assert PINS["torch"] == "2.13.0" and PROJECT["requires-python"] == ">=3.11"


def test_environment_follows_constraints():
    text = (ROOT / "environment.yml").read_text()
    assert wrong_in_environment(text, PINS) == []
    for good, bad in (("torch==2.13.0", "torch==2.12.0"), ("name: ", "nome: "), ("- pip\n", "- make\n")):
        assert wrong_in_environment(text.replace(good, bad, 1), PINS), bad
    assert wrong_in_environment(re.sub(r"\n.*tqdm==.*", "", text), PINS)


def test_readme_names_commands_and_files_that_exist():
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    named = {a or b for a, b in re.findall(r"^make ([a-z]+)|`make ([a-z]+)", readme, flags=re.M)}
    assert {"lab", "train", "test"} <= named <= targets(makefile)
    assert broken_links(readme, ROOT) == []
    assert broken_links("[a](nosuch.md) [b](LICENSE)", ROOT) == ["nosuch.md"]


def test_readme_lists_every_notebook():
    readme = (ROOT / "README.md").read_text()
    notebooks = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert re.findall(r"\(notebooks/([\w.]+)\)", readme) == notebooks


def test_colab_address_is_the_same_everywhere():
    """The setup cells and badges name the repository of pyproject.toml, or none where it names none."""
    address = PROJECT.get("urls", {}).get("Repository", "")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = read_notebook(path)["cells"]
        (setup,) = (source_of(cell) for cell in cells if "setup" in tags_of(cell))
        assert f'\nREPOSITORY = "{address}"\n' in setup, path.name
        badges = re.findall(r"colab.research.google.com/github/([\w.-]+/[\w.-]+)/", source_of(cells[0]))
        assert badges == ([address.removeprefix("https://github.com/")] if address else []), path.name


def test_what_runs_is_the_same_everywhere():
    assert "make test" in (ROOT / ".ci/run").read_text()
    assert ".ci/run" in (ROOT / ".github/workflows/test.yml").read_text()
    assert "MIT License" in (ROOT / "LICENSE").read_text() and PROJECT["license"] == {"text": "MIT"}


def test_nothing_belongs_to_one_machine():
    text = {".py", ".md", ".toml", ".txt", ".yml", ".ipynb", ".json", ""}
    for path in tracked_files():
        if path.suffix in text and path.parent != ROOT / "tests":  # the tests hold paths as examples
            assert machine_paths(path.read_text(encoding="utf-8")) == [], path
    assert machine_paths("see /root/x and /home/ann/y, not notebooks/home/z") == ["/root/x", "/home/ann/y,"]


def test_files_stay_small():
    large = [path.name for path in tracked_files() if path.stat().st_size > 1_500_000]
    checkpoints = [path for path in tracked_files() if "checkpoints" in path.parts]
    assert [name for name in large if name != "model.safetensors"] == []
    assert sum(path.stat().st_size for path in checkpoints) < 30_000_000


def losses_of(run: str) -> tuple[float, int]:
    """The lowest validation loss of a recorded run, and its step."""
    lines = (ROOT / "data" / "runs" / run / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    return min((record["val_loss"], record["step"]) for record in records if "val_loss" in record)


def row(run: str) -> str:
    """A run's line in the README's table of results."""
    folder = ROOT / "data" / "runs" / run
    config = json.loads((folder / "config.json").read_text())
    seconds = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])["seconds"]
    loss, step = losses_of(run)
    per_character = loss * config["val_tokens"] / config["val_characters"]
    size = f"{config['parameters'] / 1e6:.1f} M"
    return (
        f"| `{run}` | {size} | {config['device']} | {seconds:.0f} s | {per_character:.3f} (step {step:,}) |"
    )


@pytest.mark.parametrize("run", ["char-cpu", "bpe-cpu", "char-gpu"])
def test_results_in_the_readme_are_the_recorded_ones(run):
    assert row(run) in (ROOT / "README.md").read_text()
