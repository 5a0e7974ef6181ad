"""The names of torch that the book's own modules leave to its proofs."""

import ast
import re

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
