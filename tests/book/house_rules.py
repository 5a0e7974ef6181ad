"""The rules of the house: each takes a notebook (a dictionary) and its name, and returns complaints."""

import ast
import re
from pathlib import Path
from urllib.parse import unquote

from gptlib.exercises.notebook import modules_of, read_notebook, source_of, tags_of
from tools.notebooks import CELL_METADATA, KERNEL, badge

ROOT = Path(__file__).resolve().parents[2]
# which module belongs to which chapter
MODULES = (
    "tokenizer data loss layers attention block gpt backprop optimizer training checkpoint generation "
    "inspection speed scale modern"
).split()
CHAPTER_OF = {module: number for number, module in enumerate(MODULES, start=1)}
EXEMPT = ("00", "17")  # the chapters that use the whole book
TAGS = set(
    "setup proof stub solution answer widget export-and-prove nbval-ignore-output tinyshakespeare".split()
)
COLLAPSED = {"jupyter": {"source_hidden": True}, "cellView": "form"}


def code_cells(notebook: dict, tag: str | None = None) -> list[dict]:
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [cell for cell in cells if tag is None or tag in tags_of(cell)]


def exported_cells(notebook: dict) -> list[dict]:
    return [cell for cell in code_cells(notebook) if source_of(cell).startswith("#| export")]


def first_line(cell: dict) -> str:
    return repr(source_of(cell).split("\n")[0][:60])


def tree(cell: dict) -> ast.Module:
    """The syntax tree of a cell, without lines for IPython or the shell."""
    lines = ["" if re.match(r"\s*[%!]", line) else line for line in source_of(cell).splitlines()]
    return ast.parse("\n".join(lines))


def texts(cell: dict) -> list[str]:
    """What a cell prints, as nbval compares it."""
    found = [output["text"] for output in cell["outputs"] if output["output_type"] == "stream"]
    for output in cell["outputs"]:
        data = dict(output.get("data", {}))
        if "image/png" in data:
            del data["text/plain"]  # "<Figure size 640x480 with 1 Axes>"
        found += [data[kind] for kind in ("text/plain", "text/html", "text/markdown") if kind in data]
    return ["".join(text) for text in found]


def calls_of(node: ast.AST, name: str) -> list[ast.Call]:
    """Calls such as `predictions.guess(...)` anywhere below a node."""
    calls = [n for n in ast.walk(node) if isinstance(n, ast.Call)]
    return [call for call in calls if ast.unparse(call.func) == name]


# --- the notebook as a file ---


def counts_run_from_one(notebook, name):
    """Executed once, from top to bottom."""
    counts = [cell["execution_count"] for cell in code_cells(notebook)]
    return [] if counts == list(range(1, len(counts) + 1)) else [f"execution counts are {counts}"]


def no_errors(notebook, name):
    """Neither a traceback nor a warning is stored."""
    bad = [c for c in code_cells(notebook) for o in c["outputs"] if "error" in o["output_type"]]
    bad += [c for c in code_cells(notebook) for o in c["outputs"] if o.get("name") == "stderr"]
    return [f"error or stderr output of {first_line(cell)}" for cell in bad]


def pictures_are_png(notebook, name):
    """No SVG, no scripts, and no view of a widget whose kernel is gone."""
    kinds = [(c, kind) for c in code_cells(notebook) for o in c["outputs"] for kind in o.get("data", {})]
    allowed = {"text/plain", "text/html", "text/markdown", "image/png"}
    return [f"{kind} output of {first_line(cell)}" for cell, kind in kinds if kind not in allowed]


def metadata_is_small(notebook, name):
    """Only what readers and tests need."""
    complaints = []
    if notebook["metadata"] != {"kernelspec": KERNEL}:
        complaints.append(f"notebook metadata {notebook['metadata']}")
    for cell in notebook["cells"]:
        allowed = CELL_METADATA if cell["cell_type"] == "code" else set()
        if strangers := cell["metadata"].keys() - allowed:
            complaints.append(f"metadata {sorted(strangers)} of {first_line(cell)}")
    ids = [cell["id"] for cell in notebook["cells"]]
    return complaints + ([] if len(set(ids)) == len(ids) else ["cell ids repeat"])


def tags_are_known(notebook, name):
    """A misspelt tag would silently do nothing."""
    strangers = [(tag, c) for c in notebook["cells"] for tag in tags_of(c) if tag not in TAGS]
    return [f"unknown tag {tag!r} on {first_line(cell)}" for tag, cell in strangers]


# --- the anatomy of a chapter ---


def begins_with_title_and_setup(notebook, name):
    """A numbered title, and a collapsed setup cell as the first code cell."""
    title, complaints = source_of(notebook["cells"][0]), []
    if not title.startswith(f"# {name[:2]} · "):
        complaints.append(f"the title must begin with '# {name[:2]} · '")
    setup = code_cells(notebook)[0]
    if "setup" not in tags_of(setup) or any(setup["metadata"].get(k) != v for k, v in COLLAPSED.items()):
        complaints.append("the first code cell must be the collapsed setup cell")
    return complaints


def badges_fit(notebook, name, repository=None):
    """Badge and setup cell name the repository of pyproject.toml ("owner/name"), or none if it names none."""
    shown = re.findall(r"^\[!\[Open in Colab\].*$", source_of(notebook["cells"][0]), re.MULTILINE)
    named = re.findall(r'^REPOSITORY = "(.*)"$', source_of(code_cells(notebook)[0]), re.MULTILINE)
    complaints = []
    if shown != ([badge(repository, name)] if repository else []):
        complaints.append(f"badge {shown} for the repository {repository}")
    if named != ([f"https://github.com/{repository}"] if repository else [""]):
        complaints.append(f"the setup cell has REPOSITORY = {named}, pyproject.toml {repository}")
    return complaints


def core_fits_in_sixty_cells(notebook, name):
    """A long subject has a marked second half."""
    cells = notebook["cells"]
    halves = [i for i, c in enumerate(cells) if re.search(r"^#+ .*Second half", source_of(c), re.MULTILINE)]
    core = halves[0] if halves else len(cells)
    return [] if core <= 60 else [f"{core} cells before the second half, at most 60 fit a sitting"]


def ends_with_export(notebook, name):
    """The last cell exports the reader's edit and proves it."""
    last = notebook["cells"][-1]
    right = "export-and-prove" in tags_of(last) and f'export_chapter("{name}", globals())' in source_of(last)
    return [] if right else [f'the last cell must be export_chapter("{name}", globals()), tagged']


def has_proofs_and_exercises(notebook, name):
    """What a chapter claims it proves; and there is something to do."""
    complaints = [
        f"a cell tagged `proof` asserts nothing: {first_line(cell)}"
        for cell in code_cells(notebook, "proof")
        if "assert" not in source_of(cell)
    ]
    if modules_of(notebook) and not code_cells(notebook, "proof"):
        complaints.append("a chapter that exports a module proves something")
    if not code_cells(notebook, "stub"):
        complaints.append("a chapter has an exercise")
    return complaints


def exercises_are_complete(notebook, name):
    """A stub, then a collapsed solution that passes the same checker."""
    cells, complaints = code_cells(notebook), []
    for cell, following in zip(cells, [*cells[1:], None], strict=True):
        if "stub" in tags_of(cell):
            if "raise NotImplementedError" not in source_of(cell) or "exercises." not in source_of(cell):
                complaints.append(
                    f"a stub raises NotImplementedError, then calls its checker: {first_line(cell)}"
                )
            if following is None or "solution" not in tags_of(following):
                complaints.append(f"no solution after the stub {first_line(cell)}")
        if "solution" in tags_of(cell):
            if any(cell["metadata"].get(key) != value for key, value in COLLAPSED.items()):
                complaints.append(f"this solution is not collapsed: {first_line(cell)}")
            if not source_of(cell).startswith("# @title Solution\n"):
                complaints.append(f"a solution begins with '# @title Solution': {first_line(cell)}")
            if "assert exercises." not in source_of(cell):
                complaints.append(f"this solution asserts no checker: {first_line(cell)}")
    return complaints


def predictions_are_kept(notebook, name):
    """A guess (None as committed) before each answer, the answer folded, and the board at the end."""
    guessed, complaints = [], []
    reveals = 0
    for cell in code_cells(notebook):
        for call in calls_of(tree(cell), "predictions.guess"):
            guessed.append(ast.literal_eval(call.args[0]))
            if ast.unparse(call.args[1]) != "None":
                complaints.append(f"the guess {guessed[-1]!r} is filled in: commit None")
        revealed = [ast.literal_eval(c.args[0]) for c in calls_of(tree(cell), "predictions.reveal")]
        reveals += len(revealed)
        if missing := [answer for answer in revealed if answer not in guessed]:
            complaints.append(f"no guess before the answer {missing}")
        folded = cell["metadata"].get("jupyter", {}).get("outputs_hidden")
        if bool(revealed) != ("answer" in tags_of(cell)) or bool(revealed) != bool(folded):
            complaints.append(f"reveal, tag `answer`, hidden outputs go together: {first_line(cell)}")
    if len(guessed) != reveals:
        complaints.append(f"{len(guessed)} guesses and {reveals} answers")
    boards = [cell for cell in code_cells(notebook) if calls_of(tree(cell), "predictions.board")]
    return complaints + (["predictions.board() is missing"] if guessed and not boards else [])


def widgets_are_driven(notebook, name):
    """nbval compares no views: the next cell sets values, asserts the state, and leaves something to see."""
    cells, complaints = code_cells(notebook), []
    for cell, following in zip(cells, [*cells[1:], None], strict=True):
        if "widget" not in tags_of(cell):
            continue
        if cell["outputs"]:
            complaints.append(f"a widget cell prints nothing, its view is not stored: {first_line(cell)}")
        if following is None or "assert" not in source_of(following) or not following["outputs"]:
            complaints.append(f"no cell drives the widget and shows it: {first_line(cell)}")
    return complaints


# --- code ---


def imports_go_backwards(notebook, name):
    """A notebook imports modules of earlier chapters; what it exports imports no widgets and no exercises."""
    if name[:2] in EXEMPT:
        return []
    complaints = []
    for cell in code_cells(notebook):
        exported = source_of(cell).startswith("#| export")
        for module in gptlib_imports(tree(cell)):
            if module in ("exercises", "widgets"):
                if exported:
                    complaints.append(f"an exported cell imports gptlib.{module}")
            elif CHAPTER_OF.get(module, 99) >= int(name[:2]):
                complaints.append(f"imports gptlib.{module}, which no earlier chapter exports")
    return complaints


def gptlib_imports(node: ast.AST) -> list[str]:
    """The modules directly below gptlib that are imported anywhere below a node."""
    dotted = []
    for n in ast.walk(node):
        if isinstance(n, ast.Import):
            dotted += [alias.name for alias in n.names]
        elif isinstance(n, ast.ImportFrom) and n.module == "gptlib":
            dotted += [f"gptlib.{alias.name}" for alias in n.names]
        elif isinstance(n, ast.ImportFrom) and n.level == 0:
            dotted.append(n.module)
    return [name.split(".")[1] for name in dotted if name.startswith("gptlib.")]


def exports_are_definitions(notebook, name):
    """`#| export` is a cell's first line; below it stand imports, definitions and constants."""
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    complaints = []
    for cell in code_cells(notebook):
        lines = source_of(cell).splitlines()
        if any(
            re.match(r"#\s*\|\s*export", line) and (i > 0 or line != "#| export")
            for i, line in enumerate(lines)
        ):
            complaints.append(f"'#| export' must be the first line, written so: {first_line(cell)}")
    for cell in exported_cells(notebook):
        wrong = [ast.unparse(node)[:60] for node in tree(cell).body if not isinstance(node, allowed)]
        complaints += [f"an exported cell does something: {line}" for line in wrong]
    return complaints


def signatures_name_no_class_as_text(notebook, name):
    """After the last cell's reload the shape checks would still ask for the class of before."""
    functions = [
        node
        for cell in exported_cells(notebook)
        for node in ast.walk(tree(cell))
        if isinstance(node, ast.FunctionDef)
    ]
    arguments = [(f, a.annotation) for f in functions for a in [*f.args.args, *f.args.kwonlyargs]]
    hints = arguments + [(f, f.returns) for f in functions]
    named = [f.name for f, hint in hints if isinstance(hint, ast.Constant) and isinstance(hint.value, str)]
    return [f"{function} names a class as text in its signature" for function in named]


def exports_are_documented(notebook, name):
    """Every public name has a docstring; what works on tensors tells their shapes."""
    complaints = []
    for cell in exported_cells(notebook):
        for node in tree(cell).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                doc = ast.get_docstring(node)
                if doc is None:
                    complaints.append(f"{node.name} has no docstring")
                elif works_on_tensors(node) and not (tells_shapes(node) or re.search(r"\[.*\]", doc)):
                    complaints.append(f"{node.name} does not tell the shapes of its tensors")
    return complaints


def works_on_tensors(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether a signature speaks of tensors, or a class has a forward."""
    if isinstance(node, ast.ClassDef):
        return any(isinstance(n, ast.FunctionDef) and n.name == "forward" for n in node.body)
    return "Tensor" in signature(node)


def tells_shapes(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether a signature (a class: its forward's) carries shapes such as `Float[Tensor, "B T C"]`."""
    if isinstance(node, ast.ClassDef):
        return any(
            tells_shapes(n) for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "forward"
        )
    return bool(re.search(r"\[\w+, ['\"]", signature(node)))


def signature(node: ast.FunctionDef) -> str:
    return ast.unparse(node.args) + (ast.unparse(node.returns) if node.returns else "")


def no_trailing_semicolon(notebook, name):
    """It would hide an output that nbval compares."""
    return [
        f"trailing ';' in {first_line(cell)}"
        for cell in code_cells(notebook)
        if any(line.rstrip().endswith(";") for line in source_of(cell).splitlines())
    ]


# --- outputs ---


def unstable_cells_assert(notebook, name):
    """What is not compared is bounded; what a clock says is not compared."""
    complaints = []
    for cell in code_cells(notebook):
        ignored = "nbval-ignore-output" in tags_of(cell)
        if ignored and "assert" not in source_of(cell):
            complaints.append(f"tagged nbval-ignore-output but asserts no bound: {first_line(cell)}")
        timed = re.search(r"perf_counter|time\.time\(|^\s*%+time", source_of(cell), re.MULTILINE)
        if timed and cell["outputs"] and not ignored:
            complaints.append(f"measures time, so its output is not stable: {first_line(cell)}")
    return complaints


UNSTABLE = {
    "an address": r"\b0x[0-9a-f]{6,}",
    "a bare object": r"<[\w.]+ object",
    "an absolute path": r"(?<![\w.:/])/(home|work|root|tmp|usr|Users|content|opt|var)/|\b[A-Z]:\\",
    "more than four decimals": r"\d\.\d{5,}",
}


def outputs_are_stable(notebook, name):
    """Nothing that differs from machine to machine stands in a compared output."""
    return [
        f"{what} in the output of {first_line(cell)}: {found.group()}"
        for cell in code_cells(notebook)
        if "nbval-ignore-output" not in tags_of(cell)
        for text in texts(cell)
        for what, pattern in UNSTABLE.items()
        if (found := re.search(pattern, text))
    ]


# --- text ---


def links_resolve(notebook, name, folder=ROOT / "notebooks"):
    """Links to files lead somewhere, also with an anchor, as JupyterLab names headings."""
    text = "\n\n".join(source_of(cell) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    return broken_links(text, folder / f"{name}.ipynb", own_anchors=notebook_anchors(notebook))


def prose(text: str) -> str:
    """Markdown without code blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def broken_links(text: str, path: Path, own_anchors: set[str]) -> list[str]:
    complaints = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if re.match(r"[a-z]+:", target):  # https:, mailto:
            continue
        file, _, anchor = unquote(target).partition("#")
        linked = path.parent / file if file else path
        if file and not linked.exists():
            complaints.append(f"{target} leads nowhere")
        elif anchor and anchor not in (anchors_of(linked) if file else own_anchors):
            complaints.append(f"{target}: there is no such heading")
    return complaints


def headings(text: str) -> list[str]:
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [heading.strip().replace("`", "") for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]


def notebook_anchors(notebook: dict) -> set[str]:
    cells = [source_of(cell) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    return {heading.replace(" ", "-") for cell in cells for heading in headings(cell)}


def anchors_of(path: Path) -> set[str]:
    """The anchors of another file: JupyterLab's for a notebook, GitHub's for Markdown."""
    if path.suffix == ".ipynb":
        return notebook_anchors(read_notebook(path))
    text = headings(path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in text}


RULES = [
    counts_run_from_one,
    no_errors,
    pictures_are_png,
    metadata_is_small,
    tags_are_known,
    begins_with_title_and_setup,
    badges_fit,
    core_fits_in_sixty_cells,
    ends_with_export,
    has_proofs_and_exercises,
    exercises_are_complete,
    predictions_are_kept,
    widgets_are_driven,
    imports_go_backwards,
    exports_are_definitions,
    signatures_name_no_class_as_text,
    exports_are_documented,
    no_trailing_semicolon,
    unstable_cells_assert,
    outputs_are_stable,
    links_resolve,
]


# --- source of the package ---

# What the reader builds is made of tensors: these are all names of torch's layers and optimizers it may use.
ALLOWED = {
    "torch.nn": {"Module", "ModuleList", "Parameter", "functional", "attention"},  # attention: which kernel
    "torch.nn.functional": {"scaled_dot_product_attention"},
    "torch.optim": {"Optimizer"},
}
RESERVED = re.compile(
    r"pickle|torch\.(load|save|dropout|embedding|layer_norm|rms_norm|native_layer_norm|feature_dropout)$"
)


def reserved_names(source: str) -> list[str]:
    """The names in a module's source that are kept for proofs: torch's layers and optimizers; pickles."""
    module, meaning, used = ast.parse(source), {}, []
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                used.append(alias.name)
                first = alias.name.split(".")[0]
                meaning[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                meaning[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                used.append(f"{node.module}.{alias.name}")
    used += [full for node in ast.walk(module) if (full := dotted_name(node, meaning))]
    return sorted({name for name in used if is_reserved(name)})


def dotted_name(node: ast.AST, meaning: dict[str, str]) -> str | None:
    """`torch.nn.Linear` for the node of `nn.Linear` or `getattr(nn, "Linear")`, given what `nn` means."""
    if isinstance(node, ast.Name):
        return meaning.get(node.id)
    if isinstance(node, ast.Attribute):
        base = dotted_name(node.value, meaning)
        return f"{base}.{node.attr}" if base else None
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr" and len(node.args) > 1:
        base = dotted_name(node.args[0], meaning)
        constant = isinstance(node.args[1], ast.Constant)
        return f"{base}.{node.args[1].value}" if base and constant else None
    return None


def is_reserved(name: str) -> bool:
    for parent, allowed in ALLOWED.items():
        rest = name.removeprefix(f"{parent}.")
        if rest != name and rest.split(".")[0] not in allowed:
            return True
    return bool(RESERVED.match(name))
