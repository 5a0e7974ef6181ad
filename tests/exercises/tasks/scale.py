"""What readers might write for the tasks of chapter 15: other styles, and mistakes by their key words."""

RIGHT = {
    "ring_all_reduce": [
        """
def ring_all_reduce(tensor, ranks):
    n, me = ranks.world_size, ranks.rank
    parts = torch.chunk(tensor.flatten(), n) if tensor.numel() % n == 0 else tensor.flatten().tensor_split(n)
    parts = [p.clone() for p in parts]

    def hand_on(number):
        request = ranks.send(parts[number % n], (me + 1) % n)
        found = torch.empty_like(parts[(number - 1) % n])
        ranks.receive(found, (me - 1) % n)
        request.wait()
        return found

    for s in range(n - 1):
        parts[(me - s - 1) % n] = parts[(me - s - 1) % n] + hand_on(me - s)
    for s in range(n - 1):
        parts[(me - s) % n] = hand_on(me + 1 - s)
    tensor.copy_(torch.cat(parts).view_as(tensor))
""",
    ],
    "average_gradients": [
        """
def average_gradients(params, ranks):
    params = [p for p in params if p.grad is not None]
    flat = torch.nn.utils.parameters_to_vector([p.grad for p in params])
    ranks.all_mean(flat)
    start = 0
    for p in params:
        p.grad = flat[start : start + p.numel()].view(p.shape)
        start += p.numel()
""",
    ],
    "ShardedOptimizer": [
        """
class ShardedOptimizer:
    def __init__(self, optimizer, ranks):
        self.optimizer, self.ranks = optimizer, ranks
        self.param_groups = optimizer.param_groups
        self.params = [p for group in self.param_groups for p in group["params"]]
        self.owner = owners(self.params, ranks.world_size)

    def zero_grad(self):
        self.optimizer.zero_grad()

    @torch.no_grad()
    def step(self):
        others = [p for p, owner in zip(self.params, self.owner) if owner != self.ranks.rank]
        kept = [p.grad for p in others]
        for p in others:
            p.grad = None
        self.optimizer.step()
        for i in range(len(self.params)):
            new = self.params[i].detach().clone()
            self.ranks.broadcast(new, self.owner[i])
            self.params[i].copy_(new)
        for p, g in zip(others, kept):
            p.grad = g
""",
    ],
}
SAME = {}  # changes that compute the same, and why
BUGS = {
    "ring_all_reduce": [
        ("into += received", "into = into + received", "sums"),
        ("range(2 * (n - 1))", "range(n - 1)", "sums"),
        ("if step < n - 1:", "if True:", "sums"),
        ("if step < n - 1:", "if False:", "sums"),
        ("if step < n - 1:", "if step <= n - 1:", "sums"),
        ("(rank + 1) % n", "(rank - 1) % n", "for ever"),
        ("chunks[(rank - step) % n]", "chunks[rank]", "sums"),
        ("ranks.receive(received, (rank - 1) % n)", "ranks.receive(received, (rank + 1) % n)", "for ever"),
        ("(rank + 1) % n)\n", "rank + 1)\n", "there is no process"),
        ("(rank + 1) % n)\n", "(rank + 1) % n)\n        request.wait()\n", "before it has received"),
        ("torch.empty_like(into)", "torch.empty(into.shape)", "room for torch.float32"),
        ("(rank - step - 1) % n", "(rank - step) % n", ""),
    ],
    "average_gradients": [
        ("    flat /= ranks.world_size\n", "", "divide by the number"),
        ("    ranks.all_reduce(flat)\n", "", "messages"),
        ("flat /= ranks.world_size", "flat /= ranks.world_size**2", "divided twice"),
        ("g.copy_(mean.view_as(g))", "pass", "put the mean into p.grad"),
        ("if p.grad is not None", "if True", "NoneType"),
        (
            "    flat = torch.cat([g.flatten() for g in grads])",
            "    for g in grads:\n        ranks.all_reduce(g)\n"
            "    flat = torch.cat([g.flatten() for g in grads])",
            "lay them end to end",
        ),
        ("    flat /= ranks.world_size\n", "    flat /= len(grads)\n", ""),
    ],
    "ShardedOptimizer": [
        ("p.grad = None", "pass", "take their gradients away"),
        ("self.ranks.broadcast(p.data, owner)", "pass", "hands it on"),
        ("        self.optimizer.step()\n", "", "old value"),
        ("if owner != self.ranks.rank", "if owner == self.ranks.rank", "take their gradients away"),
        ("self.ranks.broadcast(p.data, owner)", "self.ranks.broadcast(p.data, 0)", ""),
        ("self.optimizer.step()", "self.optimizer.step(), self.optimizer.step()", "off by"),
        (
            "            self.ranks.broadcast(p.data, owner)",
            "            if owner == self.ranks.rank:\n                self.ranks.broadcast(p.data, owner)",
            "",
        ),
    ],
}
