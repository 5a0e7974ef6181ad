"""What readers might write for the tasks of chapter 11: other styles, and mistakes by their key words."""

from pathlib import Path

import gptlib.checkpoint as book

SOURCE = Path(book.__file__).read_text(encoding="utf-8")
SAVE = "def save_checkpoint(" + SOURCE.split("def save_checkpoint(", 1)[1].split("\n# %%", 1)[0]
BLOCK = """        with replacing(folder, durable=True) as temporary:
            temporary.mkdir()
            write_files(temporary, state)
            write_manifest(temporary)
"""
BY_HAND = """        temporary = folder.parent / f".{folder.name}.tmp"
        remove(temporary)
        temporary.mkdir()
        write_files(temporary, state)
        write_manifest(temporary)
        force_to_disk(temporary)
        os.replace(temporary, folder)
        fsync(folder.parent)
"""
WITH_HANDLES = """        import shutil
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        os.mkdir(temporary)
        write_files(temporary, state)
        write_manifest(temporary)
        for path in [*temporary.iterdir(), temporary]:
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
        temporary.rename(folder)
        handle = os.open(folder.parent, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
"""
assert BLOCK in SAVE
RENAME = "os.replace(temporary, folder)"
TIED = 'weights["lm_head.weight"] = weights["wte.weight"]'
TREE = 'load_tree(rest["optimizer"], folder / "optimizer.safetensors")'
RNG = 'rng = {name: torch.tensor(values, dtype=torch.uint8) for name, values in rest["rng"].items()}'
MADE = "return TrainState("
EACH = 'for name, expected in read_manifest(folder / "manifest.json").items():'
THERE = f"""{EACH}
            if not (folder / name).exists():
                continue"""
RIGHT = {
    "verify": [
        """
def verify(folder):
    hashes = read_manifest(folder / "manifest.json")
    for name in hashes:
        path = folder / name
        wrong = "is damaged" if path.is_file() else "is missing"
        if path.is_file() and sha256_of(path) == hashes[name]:
            wrong = ""
        if wrong:
            raise CheckpointError(f"{path} {wrong}")
""",
        """
def verify(folder):
    import hashlib
    for name, expected in read_manifest(folder / "manifest.json").items():
        try:
            content = (folder / name).read_bytes()
        except FileNotFoundError:
            raise CheckpointError(f"{name} is missing")
        if hashlib.sha256(content).hexdigest() != expected:
            raise CheckpointError(f"{name} is damaged")
""",
    ],
    "read_state": [
        """
def read_state(folder):
    rest = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    weights = read_tensors(folder / "model.safetensors")
    tree = rest.pop("optimizer", None)
    rest["optimizer"] = load_tree(tree, folder / "optimizer.safetensors") if tree else None
    rest["rng"] = {device: torch.ByteTensor(numbers) for device, numbers in rest["rng"].items()}
    return TrainState(model={**weights, "lm_head.weight": weights["wte.weight"].clone()}, **rest)
""",
    ],
    "latest_checkpoint": [
        """
def latest_checkpoint(run_folder, *mirrors):
    candidates = [folder for place in (run_folder, *mirrors) for folder in checkpoints_in(place)]
    while candidates:
        newest = max(candidates, key=step_of)
        try:
            verify(newest)
        except CheckpointError as error:
            log.warning(f"passed over: {error}")
            candidates.remove(newest)
        else:
            return newest
    raise CheckpointError("no valid checkpoint")
""",
    ],
    "save_checkpoint": [SAVE.replace(BLOCK, BY_HAND), SAVE.replace(BLOCK, WITH_HANDLES)],
}
SAME = {}  # changes that compute the same, and why
BUGS = {
    "verify": [
        ("if not (folder / name).exists():", "if False:", "missing"),
        ("if sha256_of(folder / name) != expected:", "if (folder / name).stat().st_size > 10**6:", "notice"),
        (
            "if sha256_of(folder / name) != expected:",
            "if sha256_of(folder / name) == expected:",
            "nothing is wrong",
        ),
        (
            'raise CheckpointError(f"{folder / name} is missing")',
            "raise FileNotFoundError(name)",
            "does not name",
        ),
        ('raise CheckpointError(f"{folder / name} is missing")', "continue", "is gone"),
        ('raise CheckpointError(f"{folder / name} is missing")', "raise ValueError(name)", "CheckpointError"),
        ('f"{folder / name} is damaged:', 'f"{folder} is damaged:', "does not name it"),
        ('f"{folder / name} is damaged:', 'f"{folder / name} is wrong:', "is damaged"),
        (
            EACH,
            EACH.replace("read_manifest(", "list(read_manifest(").replace("items():", "items())[:1]:"),
            "notice",
        ),
        (
            EACH,
            EACH.replace("read_manifest(", "reversed(read_manifest(").replace("items():", "items()):"),
            "name the first",
        ),
        (EACH, THERE, "is gone"),
    ],
    "read_state": [
        (TIED, "pass", "lm_head.weight"),
        (TIED, 'weights["lm_head.weight"] = 0 * weights["wte.weight"]', "lm_head.weight are not"),
        ('if "optimizer" in rest:', "if False:", "empty averages"),
        ('if "optimizer" in rest:\n', "if True:\n", "for reading"),
        (TREE, 'rest["optimizer"]', "load_tree"),
        (TREE, 'read_tensors(folder / "optimizer.safetensors")', "tree"),
        ("dtype=torch.uint8", "dtype=torch.int64", "torch.uint8"),
        ("torch.tensor(values, dtype=torch.uint8)", "values", "rng"),
        (RNG, 'rng = {"cpu": torch.Generator().manual_seed(7).get_state()}', "RNG state"),
        (RNG, "rng = {}", "entries"),
        (MADE, "as_they_stand['step'] = 0\n    return TrainState(", "step was 3"),
        (MADE, "as_they_stand['scaler'] = {}\n    return TrainState(", "scaler"),
        (MADE, "as_they_stand['best_step'] = rest['step']\n    return TrainState(", "best_step"),
        (MADE, "as_they_stand['best_val_loss'] = 0.0\n    return TrainState(", "best_val_loss"),
        (MADE, "return dict(", "TrainState"),
    ],
    "latest_checkpoint": [
        (", reverse=True", "", "oldest"),
        ("key=step_of, ", "key=lambda folder: folder.name, ", "numbers"),
        ("key=step_of, ", "", ""),
        ("            verify(folder)\n", "", "verify each"),
        ('log.warning("passed over: %s", error)', "pass", "say what is passed over"),
        ('log.warning("passed over: %s", error)', "raise", "go on to the next"),
        ('log.warning("passed over: %s", error)', "break", "go on to the next"),
        ("return folder\n", "return folder.name\n", "a Path"),
        ("sorted(candidates, key=step_of, reverse=True)", "reversed(checkpoints_in(run_folder))", "mirror"),
        ("sorted(candidates, key=step_of, reverse=True)", "[candidates[-1]]", ""),
    ],
    "save_checkpoint": [
        (", durable=True", "", "not forced to disk"),
        (
            BLOCK,
            "        folder.mkdir()\n        write_files(folder, state)\n        write_manifest(folder)\n",
            "in place",
        ),
        (BLOCK, BY_HAND.replace("        force_to_disk(temporary)\n", ""), "not forced to disk"),
        (
            BLOCK,
            BY_HAND.replace("force_to_disk(temporary)", "[fsync(path) for path in temporary.iterdir()]"),
            "act 4",
        ),
        (BLOCK, BY_HAND.replace("        fsync(folder.parent)\n", ""), "act 6"),
        (BLOCK, BY_HAND.replace("        remove(temporary)\n", ""), "what is left"),
        (
            BLOCK,
            BY_HAND.replace("        remove(temporary)\n", "").replace("mkdir()", "mkdir(exist_ok=True)"),
            "the killed save has left",
        ),
        (BLOCK, BY_HAND.replace('f".{folder.name}.tmp"', 'f"{folder.name}.new"'), "cleared away"),
        (BLOCK, BY_HAND.replace("folder.parent /", "folder.parent.parent /"), "beside"),
        (
            BLOCK,
            BY_HAND.replace(RENAME, "import shutil\n        shutil.copytree(temporary, folder)"),
            "is still there",
        ),
        (BLOCK, BY_HAND.replace(RENAME, "pass"), "no folder of that name"),
        ("            write_manifest(temporary)\n", "", "files of a checkpoint"),
        (
            "            write_files(temporary, state)\n            write_manifest(temporary)\n",
            "            write_manifest(temporary)\n            write_files(temporary, state)\n",
            "write it last",
        ),
        (
            BLOCK,
            BLOCK.replace("            write_manifest(temporary)\n", "        write_manifest(folder)\n"),
            "",
        ),
    ],
}
