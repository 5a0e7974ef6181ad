"""Losses drawn in the terminal and as a PNG."""

import json
import re
import shutil

from tiny_commands import OWN, TINY, complaint, losses, python, run


def test_plot_in_the_terminal(finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path / "a" / "run")
    assert run("plot", finished, tmp_path / "a" / "run") == 0
    out = capsys.readouterr().out
    points = [(step, val) for step, _, val in losses(finished) if val]
    for name in (finished, tmp_path / "a" / "run"):  # equal names, two runs
        bars = [rf" +{step}  {val:.3f}  █+\n" for step, val in points]
        assert re.search(re.escape(f"{name}: validation loss") + ".*\n" + "".join(bars), out)
        assert f"{min(val for _, val in points):.3f}  {name}  <--" in out
    rungs = json.loads((finished / "ladder.json").read_text(encoding="utf-8"))
    assert all(f"{value:.3f}  {name}\n" in out for name, value in rungs.items())


def test_plot_as_png(finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path / "b")
    (tmp_path / "b" / "ladder.json").unlink()  # a run that is still going on
    assert run("plot", tmp_path / "b", finished, "--out", tmp_path / "ナ.png") == 0
    assert (tmp_path / "ナ.png").read_bytes().startswith(b"\x89PNG")
    assert "written to" in capsys.readouterr().out


def test_a_png_needs_no_display(finished, tmp_path):
    headless = {"MPLBACKEND": "module://missing"}  # as a window that cannot be opened
    done = python("plot", finished, "--out", tmp_path / "x.png", env=headless)
    assert (done.returncode, done.stderr) == (0, "") and (tmp_path / "x.png").exists()


def test_plot_refuses_what_cannot_be_compared(finished, tmp_path, capsys):
    (tmp_path / "peter.txt").write_text(OWN, encoding="utf-8")
    assert run("train", "--text", "peter.txt", "--out", "run", *TINY) == 0
    shutil.copytree(finished, tmp_path / "half")
    broken = [
        ("run", finished, "have different texts"),
        ("half", "half", "half/ladder.json cannot be read", "ladder.json", '{"uniform": null}'),
        ("half", "half", "metrics.jsonl, line 1 is no record: '3'", "metrics.jsonl", "3\n{}\n"),
        ("half", "half", "half has no validation loss yet", "metrics.jsonl", '{"step": 1}\n'),
    ]
    for a, b, said, *file in broken:
        if file:
            (tmp_path / "half" / file[0]).write_text(file[1], encoding="utf-8")
        capsys.readouterr()
        assert run("plot", a, b, "--out", "x.png") == 2
        assert said in complaint(capsys) and not (tmp_path / "x.png").exists()
