"""Small changes of code, one at a time: what a test of a function ought to notice."""

import ast
import copy
from collections.abc import Iterator

COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult, ast.Mod: ast.Mult, ast.MatMult: ast.Mult,
}  # fmt: skip


def mutants(source: str, lines: range) -> Iterator[tuple[str, str]]:
    """Each change of an operator, number or call in these lines, in words, and the source with it."""
    tree = ast.parse(source)
    for index, node in enumerate(ast.walk(tree)):
        if getattr(node, "lineno", 0) in lines:
            for change in changes(node):
                changed = copy.deepcopy(tree)
                target = list(ast.walk(changed))[index]
                before = ast.unparse(target)
                replaced = change(target)
                if replaced is not target:
                    changed = Swap(target, replaced).visit(changed)
                after = ast.unparse(replaced)
                if after == before:  # two equal arguments swapped
                    continue
                yield (
                    f"line {node.lineno}: {before} → {after}",
                    ast.unparse(ast.fix_missing_locations(changed)),
                )


class Swap(ast.NodeTransformer):
    """Puts one node in the place of another."""

    def __init__(self, old, new):
        self.old, self.new = old, new

    def visit(self, node):
        return self.new if node is self.old else self.generic_visit(node)


def changes(node) -> list:
    """Functions that change a copy of the node; each returns what stands there then."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            return [lambda n: set_to(n, "ops", [COMPARISONS[type(n.ops[0])]()])]
        case ast.BinOp(op=op) if type(op) in ARITHMETIC:
            return [lambda n: set_to(n, "op", ARITHMETIC[type(n.op)]())]
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert()):
            return [lambda n: n.operand]
        case ast.Constant(value=bool()):
            return [lambda n: ast.Constant(not n.value)]
        case ast.Constant(value=int() | float()):
            return [lambda n: ast.Constant(n.value + 1), lambda n: ast.Constant(n.value - 1)]
        case ast.Call(func=ast.Attribute(), args=args):
            dropped = [lambda n: n.func.value]  # x.f(…) becomes x
            swapped = (
                [lambda n: set_to(n, "args", [n.args[1], n.args[0], *n.args[2:]])] if len(args) > 1 else []
            )
            return dropped + swapped
        case ast.Call(args=[_, _, *_]):
            return [lambda n: set_to(n, "args", [n.args[1], n.args[0], *n.args[2:]])]
    return []


def set_to(node, field: str, value):
    """The node with another value of a field."""
    setattr(node, field, value)
    return node
