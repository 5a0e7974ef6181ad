"""What `pytest tests` and `pytest --nbval notebooks/` share: the kernels' environment, stand-in corpus."""

import os
from pathlib import Path

import pytest

from tools.environment import ENVIRONMENT, SHORT

# Before anything imports torch or gptlib. Tests that do without shape checks run with GPTLIB_CHECK_SHAPES="".
shape_checks = os.environ.get("GPTLIB_CHECK_SHAPES", "1")
os.environ.update(ENVIRONMENT | SHORT, GPTLIB_CHECK_SHAPES=shape_checks, JUPYTER_PLATFORM_DIRS="1")

ROOT = Path(__file__).parent
# templates without outputs, which tests/exercises/test_workbook.py runs, and the reader's own
collect_ignore_glob = ["notebooks/workbook/*", "mine/*"]
PLAYS = "the embedded plays stand in for it"  # gptlib.data's warning ends so
STAND_IN = f"TinyShakespeare is neither in data/ nor in $GPTLIB_DATA: {PLAYS}"
NOT_COMPARED = ("output not compared", STAND_IN)
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def corpus_is_there() -> bool:
    """Whether `load_corpus` finds TinyShakespeare without a download."""
    folders = [ROOT / "data", *(Path(folder) for folder in [os.environ.get("GPTLIB_DATA")] if folder)]
    return any((folder / "tinyshakespeare" / "input.txt").exists() for folder in folders)


def pytest_configure(config):
    config.addinivalue_line("markers", "tinyshakespeare: needs TinyShakespeare, skipped without it")
    config.addinivalue_line("markers", "slow: runs notebooks or tests of its own; not in `make check`")
    config.addinivalue_line("markers", "stress: takes more kills, damage or cells when GPTLIB_STRESS is set")


def pytest_collection_modifyitems(items):
    stand_in = not corpus_is_there()
    for item in items:
        if hasattr(item, "cell"):  # a code cell, collected by nbval
            prepare_cell(item, item.cell.metadata.get("tags", []), stand_in)
        elif stand_in and item.get_closest_marker("tinyshakespeare"):
            item.add_marker(pytest.mark.skip(reason=STAND_IN))


def prepare_cell(item, tags: list[str], stand_in: bool) -> None:
    """Set what nbval does with a cell beyond its own tags."""
    compare = item.compare_outputs
    item.compare_outputs = lambda outputs, stored: compare(list(filter(is_compared, outputs)), stored)
    if stand_in and "tinyshakespeare" in tags:
        item.options["check"] = False
        item.user_properties.append(NOT_COMPARED)


def is_compared(output) -> bool:
    """Not so views of widgets (and progress bars), which are not stored, and the stand-in's warning."""
    return WIDGET_VIEW not in output.get("data", {}) and PLAYS not in output.get("text", "")


def pytest_terminal_summary(terminalreporter):
    ended = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    reports = [report for report in ended if report.when == "call"]
    properties = [(report.nodeid, *pair) for report in reports for pair in report.user_properties]
    print_kill_matrix(terminalreporter, [value for _, key, value in properties if key == "kill matrix"])
    skipped = [r.nodeid for r in terminalreporter.getreports("skipped") if STAND_IN in str(r.longrepr)]
    not_compared = [nodeid for nodeid, *pair in properties if tuple(pair) == NOT_COMPARED]
    if skipped or not_compared:
        terminalreporter.section("stand-in corpus")
        for nodeid in skipped:
            terminalreporter.line(f"skipped {nodeid}")
        counts = f"{len(skipped)} tests skipped, {len(not_compared)} cells run, their output not compared"
        terminalreporter.line(f"{STAND_IN}; {counts}")


def print_kill_matrix(terminalreporter, rows: list) -> None:
    """What every exercise's checker accepted and rejected, as test_exercises.py recorded it."""
    if not rows:
        return
    terminalreporter.section("kill matrix of the exercises")
    for name, alternatives, refused, bugs, survivors in sorted(rows):
        accepted, rejected = f"{alternatives - refused}/{alternatives}", f"{bugs - len(survivors)}/{bugs}"
        line = f"{name:40} right answers accepted {accepted:>5}   bugs rejected {rejected:>5}"
        terminalreporter.line(f"{line}   NOT: {', '.join(survivors)}" if survivors else line)
    planted, alive = sum(row[3] for row in rows), sum(len(row[4]) for row in rows)
    share = 100 * (planted - alive) / planted if planted else 0
    terminalreporter.line(f"{planted - alive} of {planted} planted bugs rejected ({share:.0f} %)")
