"""The project's files agree with each other: requirements, environment, commands, README."""

import ast
import importlib.util
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from book_files import GIT, ROOT, book_files
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image, ImageChops, ImageStat

from rules.file import TAGS
from tools import moving_picture
from tools.chapters import chapters


def read(name: str) -> str:
    """A file of the project."""
    return (ROOT / name).read_text(encoding="utf-8")


PROJECT = tomllib.loads(read("pyproject.toml"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PROVIDERS = packages_distributions()
OWN = {"gptlib", "tools", "web", "tests", "rules", "conftest", "google"}  # google: on Colab
OWN |= {path.stem for path in ROOT.glob("t*/**/*.py")}


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


def commands(text: str) -> set[str]:
    """The targets of `make NAME` where a text shows a command."""
    return {a or b for a, b in re.findall(r"^make ([a-z]+)|`make ([a-z]+)", text, flags=re.M)}


def missing_commands(text: str) -> list[str]:
    """The commands in a text, `make NAME`, `python -m NAME` and `python FILE`, that do not exist."""
    made = commands(text) - targets(read("Makefile"))
    modules = {
        name
        for name in re.findall(r"python -m ((?:tools|tests|gptlib)[a-z0-9_.]*)", text)
        if not is_module(name.rstrip("."))
    }
    files = {name for name in re.findall(r"python (\w[\w/]*\.py)", text) if not (ROOT / name).exists()}
    return sorted(made | modules | files)


def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # nor is what it would stand in
        return False


def foreign_words(text: str) -> list[str]:
    """Paths of somebody's machine, hosts of package registries, words about how the book was written."""
    path = r"(?<![\w.~])/(?:root|home/\w+|Users/\w+|work|mnt)/\S*"
    registry = r"pypi\.org|pythonhosted\.org|pytorch\.org/whl|anaconda\.org|registry\.npmjs\.org"
    host = rf"\b(?:\w{{1,20}}\.)?(?:{registry})"
    word = r"helper session|issues show|/drafts/|\.library/"
    return re.findall(f"{path}|{host}|{word}", text)


def too_large(sizes: dict[Path, int]) -> list[str]:
    """Files over 1.5 MB that are no checkpoint, and checkpoints that together pass 35 MB."""
    checkpoints = {path: size for path, size in sizes.items() if "checkpoints" in path.parts}
    large = [path.name for path, size in sizes.items() if size > 1_500_000 and path not in checkpoints]
    return large + (["checkpoints"] if sum(checkpoints.values()) > 35_000_000 else [])


def undeclared_imports(source: str, declared: set[str]) -> list[str]:
    """Imported packages of which no distribution is declared."""
    modules = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules.append(node.module)
    packages = sorted({module.partition(".")[0] for module in modules} - set(sys.stdlib_module_names) - OWN)
    return [
        name for name in packages if not declared & {canonicalize_name(d) for d in PROVIDERS.get(name, [])}
    ]


def names_of(requirements: list[str]) -> set[str]:
    """The distributions' names."""
    return {canonicalize_name(Requirement(line).name) for line in requirements}


PINS = pins_of(read("constraints.txt"))


def test_every_requirement_has_a_pin_that_it_admits():
    assert unmet([*PROJECT["dependencies"], *EXTRAS["book"], *EXTRAS["dev"]], PINS) == []
    assert unmet(["torch>=99", "nosuch>=1"], PINS) == ["torch>=99", "nosuch>=1"]


def test_bounds_are_loose():
    for line in [*PROJECT["dependencies"], *EXTRAS["book"]]:
        assert all(clause.operator == ">=" for clause in Requirement(line).specifier), line


def test_environment_follows_constraints():
    text = read("environment.yml")
    assert wrong_in_environment(text, PINS) == []
    for good, bad in (
        (f"torch=={PINS['torch']}", "torch==2.0"),
        ("name: ", "nome: "),
        ("- pip\n", "- make\n"),
    ):
        assert wrong_in_environment(text.replace(good, bad, 1), PINS), bad
    assert wrong_in_environment(re.sub(r"\n.*tqdm==.*", "", text), PINS)


def test_commands_that_are_named_exist():
    assert {"lab", "train", "test"} <= commands(read("README.md"))
    assert {"check", "full", "chapter", "execute"} <= commands(read("CONTRIBUTING.md"))
    pages = [*ROOT.glob("*.md"), *ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("gptlib/**/*.py")]
    for path in [*pages, *ROOT.glob("tools/**/*.py"), ROOT / "tests" / "run.py", ROOT / "data" / "README.md"]:
        assert missing_commands(path.read_text(encoding="utf-8")) == [], path
    text = "run `make` + `make coffee`\nmake tea  # hot; `python -m tools.brew`, python tests/cup.py"
    assert missing_commands(text) == ["coffee", "tea", "tests/cup.py", "tools.brew"]


WORKFLOWS = {name: yaml.safe_load(read(f".github/workflows/{name}.yml")) for name in ("test", "nightly")}


def steps_of(job: dict) -> list[str]:
    """The commands that a job runs."""
    return [step["run"] for step in job["steps"] if "run" in step]


def test_what_runs_is_the_same_everywhere():
    assert read(".ci/run").splitlines()[-1] == "make test" and os.access(ROOT / ".ci" / "run", os.X_OK)
    jobs = WORKFLOWS["test"]["jobs"]
    assert steps_of(jobs["test"]) == [".ci/run"]
    assert steps_of(jobs["check"])[-1] == "python -m tests.run check"
    assert steps_of(WORKFLOWS["nightly"]["jobs"]["full"])[-1] == "make full"
    for run in ("check", "test", "full", "stress"):
        assert f"\t$(PY) -m tests.run {run}\n" in read("Makefile")


def test_workflows_name_what_exists():
    for name, workflow in WORKFLOWS.items():
        for job in workflow["jobs"].values():
            assert job["timeout-minutes"] <= 180 and missing_commands("\n".join(steps_of(job))) == [], name
            for step in job["steps"]:
                assert "run" in step or re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]), step
    table = re.findall(r"^\| ([\w, ]+) \| every (?:push|night) \|", read("CONTRIBUTING.md"), flags=re.M)
    named = [job for row in table for job in row.split(", ")]
    assert sorted(named) == sorted(job for workflow in WORKFLOWS.values() for job in workflow["jobs"])


def test_hooks_are_commands_of_this_repository():
    (repo,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert repo["repo"] == "local"  # nothing is fetched
    assert missing_commands("\n".join(hook["entry"] for hook in repo["hooks"])) == []


def test_every_tag_is_explained():
    named = set(re.findall(r"`([a-z-]+)`", read("CONTRIBUTING.md")))
    assert not TAGS - named


@pytest.mark.skipif(not (GIT and (ROOT / ".git").exists()), reason="no git repository")
def test_files_keep_their_line_ends_on_every_system():
    """Also where git converts them by default, as Git for Windows does; data have checksums and are bytes."""
    files = [path.relative_to(ROOT).as_posix() for path in book_files()]
    text, eol = (attributes(files, name) for name in ("text", "eol"))
    for name in files:
        assert text[name] == "unset" or (eol[name] == "lf" and not name.startswith("data/")), name


def attributes(files: list[str], name: str) -> dict[str, str]:
    """file -> what .gitattributes says of it."""
    command = [GIT, "check-attr", "--stdin", name]
    done = subprocess.run(command, cwd=ROOT, input="\n".join(files), capture_output=True, text=True)
    return {line.split(": ")[0]: line.rpartition(": ")[2] for line in done.stdout.splitlines()}


def test_the_package_needs_its_own_dependencies_only():
    """What no notebook, widget or exercise needs is enough for the modules and the command line."""
    own = names_of(PROJECT["dependencies"])
    for path in ROOT.glob("gptlib/[a-z]*.py"):
        assert undeclared_imports(path.read_text(encoding="utf-8"), own) == [], path


def test_nothing_tells_of_one_machine_or_of_how_the_book_was_written():
    suffixes = {".py", ".md", ".toml", ".txt", ".yml", ".ipynb", ".json", ".sh", ""}
    for path in book_files():
        if path.suffix in suffixes and not path.name.startswith("test_"):  # tests hold examples
            assert foreign_words(path.read_text(encoding="utf-8")) == [], path
    text = (
        "see /root/x and /home/ann/y, not notebooks/home/z; https://files.pythonhosted.org; a helper session"
    )
    assert foreign_words(text) == ["/root/x", "/home/ann/y,", "files.pythonhosted.org", "helper session"]


def test_files_stay_small():
    assert too_large({path: path.stat().st_size for path in book_files()}) == []
    sizes = {Path("data/checkpoints/a/model.safetensors"): 20_000_000, Path("data/b.bin"): 1_600_000}
    assert too_large(sizes) == ["b.bin"]
    assert too_large({path.parent / name: 20_000_000 for path in list(sizes)[:1] for name in "ab"}) == [
        "checkpoints"
    ]


def test_what_is_imported_is_declared():
    declared = names_of([*PROJECT["dependencies"], *EXTRAS["book"]])
    for path in book_files():
        if path.suffix == ".py":
            names = declared if path.is_relative_to(ROOT / "gptlib") else declared | names_of(EXTRAS["dev"])
            # PyTorch's builds for CUDA bring Triton along
            brought = ["triton"] if path == ROOT / "tools" / "measure" / "loss_kernel.py" else []
            assert undeclared_imports(path.read_text(encoding="utf-8"), names) in ([], brought), path
    assert undeclared_imports("import numpy.linalg, json, pandas\nfrom . import x", {"numpy"}) == ["pandas"]


def test_the_files_of_an_archive_are_those_that_git_knows(tmp_path):
    for name in (
        "a.py",
        ".venv/b.py",
        "gptlib/c.py",
        "gptlib/_modidx.py",
        "runs/d",
        "data/runs/e",
        "x/__pycache__/f",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    shutil.copy(ROOT / ".gitignore", tmp_path)
    found = {path.relative_to(tmp_path).as_posix() for path in book_files(tmp_path)}
    assert found == {".gitignore", "a.py", "gptlib/c.py", "data/runs/e"}


def records_of(run: str, file: str = "seeds.json"):
    """What a file of a recorded run holds."""
    return json.loads((ROOT / "data" / "runs" / run / file).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["char-cpu", "bpe-cpu", "char-gpu-best"])
def test_the_shipped_models_in_datas_readme_are_those_of_the_files(name):
    state = json.loads((ROOT / "data" / "checkpoints" / name / "state.json").read_text(encoding="utf-8"))
    run = records_of(name, "config.json")
    loss = state["best_val_loss"]
    per_character = loss * run["val_tokens"] / run["val_characters"]
    wanted = f"| `{name}` | {run['parameters']:,} | {state['step']:,} | {loss:.4f} | {per_character:.4f} |"
    assert wanted in read("data/README.md")


@pytest.mark.parametrize("run", ["char-cpu", "bpe-cpu", "char-gpu", "char-gpu-race", "char-gpu-best"])
def test_the_runs_in_datas_readme_are_the_recorded_ones(run):
    lines = (ROOT / "data" / "runs" / run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    loss, step = min((row["val_loss"], row["step"]) for row in rows if "val_loss" in row)
    told = f"| {rows[-1]['step']:,} | {rows[-1]['seconds']:.0f} | {loss:.4f} (step {step:,}) |"
    (line,) = [line for line in read("data/README.md").splitlines() if line.startswith(f"| `{run}` | tiny")]
    assert told in line


@pytest.mark.parametrize("run", ["char-cpu", "char-gpu", "char-gpu-race", "char-gpu-best"])
def test_the_seeds_in_datas_readme_are_the_recorded_ones(run):
    seeds = sorted(records_of(run), key=lambda seed: seed["seed"])
    seconds = between([seed["seconds"] for seed in seeds], ".1f")
    losses = ", ".join(f"{seed['final_val_loss']:.3f}" for seed in seeds)
    assert f"| `{run}` | {len(seeds)} | {seconds} | {losses} |" in read("data/README.md")


# --- the README


def between(values: list[float], form: str) -> str:
    """The lowest and the highest value, or the one that both are when they are rounded."""
    low, high = (format(value, form) for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


COMPARED = {  # a line of the README -> a part of compare.json
    "nanoGPT, `train_shakespeare_char`": "nanoGPT, characters",
    "this book, `char-gpu-race`": "ours, char-gpu-race",
    "this book, `char-gpu-best`": "ours, char-gpu-best",
    "nanoGPT, compiled": "nanoGPT, 124M",
    "this book, compiled": "ours, 124M",
}


def row(line: str, part: str, found: list[dict]) -> str:
    """A line of the README's tables of results, from what was measured."""

    def values(name: str, key: str, form: str, scale: float = 1) -> str:
        return between([scale * row[key] for row in found if row["part"] == name and key in row], form)

    if part.endswith("124M"):
        cells = [f"{values(f'{part}, {n} windows', 'tokens', '.0f', 1e-3)} k tokens/s" for n in (16, 32)]
    else:
        loss = "exact" if part.startswith("nanoGPT") else "last"
        cells = [
            f"{values(part, key, form)} s" for key, form in (("with_evaluation", ".1f"), ("wall", ".0f"))
        ]
        cells.append(values(part, loss, ".3f"))
    return f"| {line} | {' | '.join(cells)} |"


@pytest.mark.parametrize("line, part", COMPARED.items())
def test_the_comparison_in_the_readme_is_the_recorded_one(line, part):
    found = records_of("speed", "compare.json")["parts"]
    assert {part["gpu"] for part in found} == {"NVIDIA H100 80GB HBM3"}
    assert row(line, part, found) in read("README.md"), row(line, part, found)


def test_the_numbers_between_the_readmes_tables_are_the_recorded_ones():
    readme, race, best = read("README.md"), records_of("char-gpu-race"), records_of("char-gpu-best")
    until, until_best = (
        [next(t for _, t, loss in seed["val_losses"] if loss <= 1.47) for seed in runs]
        for runs in (race, best)
    )
    assert f"compiled first, the race takes {statistics.median(until):.1f} s" in readme
    assert f"and the other {between(until_best, '.1f')} s;" in readme
    median = statistics.median(seed["final_val_loss"] for seed in best)
    assert f"`char-gpu-best` comes to {median:.3f} in the median of five seeds" in readme
    shortest, longest = (
        f"{end:.0f}" for end in (min(s["seconds"] for s in best), max(s["seconds"] for s in best))
    )
    assert f"({shortest} to {longest} seconds for all 2,500 steps)" in readme
    cpu = records_of("char-cpu")
    assert f"in about {round(statistics.median(s['seconds'] for s in cpu) / 60)} minutes" in readme.replace(
        "three", "3"
    )
    assert f"{between([s['final_val_loss'] for s in cpu], '.3f')} with five seeds" in readme
    samples = (ROOT / "data" / "runs" / "char-gpu-best" / "samples.txt").read_text(encoding="utf-8")
    shown = re.findall(r"After (500|2,500)[ \w]*:\n\n```\n(.*?)\n```", readme, flags=re.S)
    assert [step for step, _ in shown] == ["500", "2,500"]
    for step, text in shown:
        assert text in samples.split(f"--- step {step.replace(',', '')} ---")[1].split("--- step")[0]


def test_the_short_way_in_the_readme_takes_the_time_that_it_names():
    readme = read("README.md")
    (minutes,) = re.findall(r"the first halves: (\d+) minutes", readme)
    route = re.findall(r"\[(\d\d)\]\(notebooks/", readme.split("Four hours only?")[1].split("\n")[0])
    assert len(route) == 4 and int(minutes) <= 240
    assert int(minutes) == sum(c.minutes[0] for c in chapters() if f"{c.number:02}" in route)


def test_the_moving_picture_is_made_by_its_command():
    shown = moving_picture.frames(length=2)
    assert [frame.size for frame in shown] == [shown[0].size] * 2
    with Image.open(ROOT / "data" / "readme.gif") as stored:
        assert stored.size == shown[0].size and stored.n_frames == moving_picture.LENGTH
        for place, frame in enumerate(shown):
            stored.seek(place)
            difference = ImageChops.difference(stored.convert("L"), frame.convert("L"))
            assert ImageStat.Stat(difference).mean[0] < 2  # a GIF has few colours
