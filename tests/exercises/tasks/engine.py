"""What readers might write for the engine of chapter 08: other styles, and mistakes by their key words."""

RIGHT = {
    "Value": [
        """
class Value:
    def __init__(self, data, edges=()):
        self.data, self.edges, self.grad = float(data), tuple(edges), 0.0

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, [(self, 1.0), (other, 1.0)])

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        if self is other:
            return Value(self.data**2, [(self, 2 * self.data)])
        return Value(other.data * self.data, [[other, self.data], [self, other.data]])

    def __pow__(self, n):
        result = self.data**n
        return Value(result, ((self, n * result / self.data),))

    def exp(self):
        return Value(math.e**self.data, [(self, math.e**self.data)])

    def log(self):
        return Value(math.log(self.data), [(self, self.data**-1)])

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return -self + other

    def __truediv__(self, other):
        return self * other**-1

    def __rtruediv__(self, other):
        return other * self**-1
""",
    ],
    "topological_order": [
        """
def topological_order(end):
    order, seen, stack = [], set(), [(end, False)]
    while stack:
        value, done = stack.pop()
        if done:
            order.append(value)
        elif value not in seen:
            seen.add(value)
            stack.append((value, True))
            stack.extend((source, False) for source, _ in value.edges)
    return order[::-1]
""",
    ],
    "backward": [
        """
def backward(end):
    gradients = {value: 0.0 for value in topological_order(end)}
    gradients[end] = 1.0
    for value in topological_order(end):
        value.grad = gradients[value]
        for edge in value.edges:
            gradients[edge[0]] += edge[1] * value.grad
""",
    ],
}
PRODUCT = "return Value(self.data * other.data, [(self, other.data), (other, self.data)])"
EDGES = "[(self, other.data), (other, self.data)]"
STRIKE = (
    "            uses[source] -= 1\n            if uses[source] == 0:\n                order.append(source)"
)
FIND = "        for source, _ in value.edges:\n            if source not in uses:\n"
ZEROS = "    for value in order:\n        value.grad = 0.0\n"
ORDER = "    order = topological_order(end)\n"
RECURSIVE = """    order, seen = [], set()

    def visit(value):
        if value not in seen:
            seen.add(value)
            for source, _ in value.edges:
                visit(source)
            order.insert(0, value)

    visit(end)
    return order
"""
EVERY_PATH = """    order, stack = [], [end]
    while stack:
        value = stack.pop()
        if value in order:
            order.remove(value)
        order.append(value)
        stack.extend(source for source, _ in value.edges)
    return order
"""
BUGS = {
    "Value": [
        (EDGES, "[(self, self.data), (other, other.data)]", "other"),
        (EDGES, "[(self, 1.0), (other, 1.0)]", "sum"),
        (EDGES, "[(self, other.data)]", "no arrow from b"),
        (EDGES, "[(self, other), (other, self)]", "plain number"),
        (PRODUCT, "return self.data * other.data", "must be a Value"),
        (PRODUCT, "return Value(self.data * other.data)", "no arrow"),
        (PRODUCT, "self.data *= other.data\n        return self", "leaves its inputs"),
        ("n * self.data ** (n - 1)", "self.data ** (n - 1)", "a ** 3"),
        ("n * self.data ** (n - 1)", "n * self.data ** n", "a ** 3"),
        ("n * self.data ** (n - 1)", "self.data ** n", "not its slope"),
        ("[(self, result)]", "[(self, 1.0)]", "a.exp()"),
        ("1 / self.data", "math.log(self.data)", "a.log()"),
        ("[(self, result)]", "[(self, self.data)]", "its own slope"),
        ("1 / self.data", "self.data", "is 1/a"),
        ("math.log(self.data)", "math.log10(self.data)", "a.log()"),
    ],
    "topological_order": [
        (STRIKE, STRIKE.replace("uses[source] == 0", "source not in order"), "which uses it"),
        (STRIKE, "            order.append(source)", "twice"),
        ("    return order\n", "    return order[::-1]\n", "reversed"),
        ("    return order\n", "    return order[1:]\n", "missing"),
        ("    return order\n", "    return set(order)\n", "list"),
        ("    return order\n", "    return found\n", "which uses it"),
        ("            uses[source] += 1", "            uses[source] = 1", "which uses it"),
        (
            FIND,
            FIND.replace("source, _ in value.edges", "source in {s for s, _ in value.edges}"),
            "which uses it",
        ),
        ("    order = [end]\n", RECURSIVE, "recursion"),
        ("    order = [end]\n", EVERY_PATH, "again and again"),
    ],
    "backward": [
        ("source.grad += value.grad * slope", "source.grad = value.grad * slope", "+="),
        (ZEROS, "", "second call"),
        ("    end.grad = 1.0\n", "", "of the end itself"),
        (ORDER, "    order = topological_order(end)[::-1]\n", "begin at the end"),
        (ORDER, ORDER + "    order[1:3] = order[2:0:-1]\n", "complete"),
        ("value.grad * slope", "value.grad", "slope is missing"),
        ("value.grad * slope", "slope", "gradient of the value is missing"),
        ("value.grad * slope", "value.grad + slope", "added to the slope"),
        ("value.grad * slope", "value.data * slope", "not its data"),
        (ZEROS + "    end.grad = 1.0\n", "    end.grad = 1.0\n" + ZEROS, "of the end itself"),
        (ZEROS, ZEROS.replace("0.0", "1.0"), ""),
    ],
}
