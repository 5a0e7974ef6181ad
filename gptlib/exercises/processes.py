"""Several processes of this machine, started from a program that a page writes: `python -m NAME`, each with its rank."""

import ast
import inspect
import linecache
import os
import socket
import subprocess
import sys
from pathlib import Path

from gptlib.files import PACKAGE, write_text

LONGEST = 120  # seconds


def write_program(folder: Path, name: str, definitions, program: str, imports: str = "") -> Path:
    """folder/NAME.py: the imports, the sources of definitions of the page, and a program below them."""
    sources = [source_of(definition) for definition in definitions]
    path = Path(folder) / f"{name}.py"
    write_text(path, "\n\n".join([imports, *sources, program]))
    return path


def source_of(definition) -> str:
    """The source of a function or class, also of a cell's class, of which `inspect` knows no file."""
    functions = [definition, *(getattr(v, "__func__", v) for v in vars(definition).values())]
    code = next(inspect.unwrap(f).__code__ for f in functions if hasattr(inspect.unwrap(f), "__code__"))
    lines = linecache.getlines(code.co_filename)
    for node in ast.parse("".join(lines)).body:
        if getattr(node, "name", "") == definition.__name__:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            return "".join(lines[first - 1 : node.end_lineno])
    raise OSError(f"the source of {definition.__name__} is not there: run the cell that defines it")


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_processes(path: Path, n: int, *words: str) -> list[subprocess.Popen]:
    """Start `python -m NAME` n times; each is told who it is as torchrun does, in environment variables."""
    port, paths = str(free_port()), [str(path.parent), str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    shared = {"WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    shared |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONIOENCODING": "utf-8", "TQDM_DISABLE": "1"}
    environment = {k: v for k, v in os.environ.items() if k != "GPTLIB_CHECK_SHAPES"} | shared
    command = [sys.executable, "-m", path.stem, *words]
    how = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", cwd=path.parent)
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(n)]
    return [subprocess.Popen(command, env=environment | rank, **how) for rank in ranks]


def run_processes(path: Path, n: int, *words: str) -> list[str]:
    """What each process printed; RuntimeError with the last lines of one that failed."""
    processes = start_processes(path, n, *words)
    try:
        said = [process.communicate(timeout=LONGEST) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for rank, (process, (_, error)) in enumerate(zip(processes, said, strict=True)):
        if process.returncode:
            raise RuntimeError(f"process {rank} ended with code {process.returncode}:\n{error[-1500:]}")
    return [output for output, _ in said]
