"""Pictures behind a slider, where a widget cannot live on a page: a training is watched, not run, there.

Each set is a script `pictures-NAME.js` with a frame for each place of the slider, and a folder of PNG files.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from gptlib.files import DATA, replacing, write_text
from gptlib.generation import generate
from gptlib.inspection import attention_patterns
from gptlib.widgets import dashboard, time_slider
from gptlib.widgets.kit.picture import width_on_page
from gptlib.widgets.shipped_model import growing_model
from web.chapter import definitions

MOMENTS = "13d00027"  # the cell of chapter 13 that defines `moment_at`
RUN, STEPS = "char-cpu", (20, 60, 100, 200, 300, 400, 600, 800, 1000, 1200, 1400, 1600, 1800, 2000)
Frame = tuple[str, bytes, str, str]  # the place's name, a PNG, its text, and HTML below it


def write(folder: Path) -> None:
    """Write all sets into `folder`."""
    write_set(folder, "time-slider", time_slider_frames())
    write_set(folder, "dashboard", dashboard_frames())


def write_set(folder: Path, name: str, frames: Iterable[Frame]) -> None:
    """Write one set: its PNG files and its script."""
    listed = []
    (folder / name).mkdir(parents=True, exist_ok=True)
    for place, (label, png, alt, html) in enumerate(frames):
        file = f"{name}/{place:02}.png"
        with replacing(folder / file) as temporary:
            temporary.write_bytes(png)
        listed.append({"label": label, "file": file, "width": width_on_page(png), "alt": alt, "html": html})
    write_text(folder / f"pictures-{name}.js", f"Live.pictures({json.dumps(name)}, {json.dumps(listed)});\n")


def recorded() -> dict:
    """What was measured of the small models while they trained."""
    return json.loads((DATA / "runs" / "inspection.json").read_text(encoding="utf-8"))["growth"]


def time_slider_frames() -> Iterator[Frame]:
    """Chapter 13's slider through a training: a frame for each kept step of the first seed."""
    growth = recorded()
    names = {
        "grown": growing_model(),
        "at": dict(zip(growth["steps"], growth["seeds"]["1"], strict=True)),
        "rungs": {order: growth["tables"][str(order)] for order in range(6)},
        "torch": torch,
        "generate": generate,
        "attention_patterns": attention_patterns,
        "Moment": time_slider.Moment,
    }
    chapter = definitions("13_inspection", (MOMENTS,), names)
    moments = [chapter["moment_at"](place) for place in range(len(chapter["kept_steps"]))]
    for place, moment in enumerate(moments):
        state = time_slider.compute(moments, place, chapter["ladder_rungs"])
        png, alt = time_slider.render(state), time_slider.alt(state)
        yield f"step {moment.step:,}", png, alt, time_slider.page(state)


def dashboard_frames() -> Iterator[Frame]:
    """The dashboard at some steps of a recorded run."""
    folder = DATA / "runs" / RUN
    rows = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = sorted([*map(json.loads, rows), *samples(folder)], key=lambda record: record["step"])
    tables = {int(order): loss for order, loss in recorded()["tables"].items()}
    rungs = {f"{order}-gram" if order else "uniform": loss for order, loss in tables.items()}
    title = f"{RUN}, {STEPS[-1]:,} steps"
    for step in STEPS:
        known = [record for record in records if record["step"] <= step]
        state = dashboard.compute(known)
        png, alt = dashboard.render(known, rungs, title), dashboard.alt(state, title, rungs)
        yield f"step {step:,}", png, alt, dashboard.page(state, rungs)


def samples(folder: Path) -> Iterator[dict]:
    """What a recorded run wrote while it trained, as the records that `train` logs."""
    for part in (folder / "samples.txt").read_text(encoding="utf-8").split("--- step ")[1:]:
        step, text = part.split(" ---\n", 1)
        yield {"step": int(step), "sample": text.strip("\n")}
