"""The loss over a large vocabulary: written out, fused, in chunks, and in one Triton kernel."""

import functools

import torch
import torch.nn.functional as F

from gptlib.kernels import chunked_loss, next_token_loss
from gptlib.loss import cross_entropy
from tools.measure import DEVICE
from tools.measure.sizes import ON_GPU, Sizes, now, span
from tools.measure.steps import HAS_COMPILER
from tools.measure.timing import mean_calls


def in_three_ways(sizes: Sizes) -> dict:
    """Loss over a large vocabulary, forward and backward: its time and memory, eager and compiled."""
    C = 768 if ON_GPU else 8
    make = functools.partial(torch.randn, device=DEVICE)
    hidden = make(1, sizes.rows, C, dtype=torch.bfloat16 if ON_GPU else torch.float32).requires_grad_()
    table = (0.02 * make(sizes.vocab, C)).requires_grad_()
    targets = torch.randint(sizes.vocab, (1, sizes.rows), device=DEVICE)

    def written_out(hidden, table, targets):
        return cross_entropy(hidden @ table.T, targets)

    ways = {"written out": written_out, "fused": next_token_loss, "in chunks": chunked_loss}
    if ON_GPU or HAS_COMPILER:
        ways["written out, compiled"] = torch.compile(written_out)
        ways["fused, compiled"] = torch.compile(next_token_loss)
    found: dict = {"rows": sizes.rows, "vocab": sizes.vocab}
    reference = None
    for name, way in ways.items():

        def work(way=way):
            hidden.grad = table.grad = None
            with torch.autocast(DEVICE.type, torch.bfloat16, enabled=ON_GPU):
                loss = way(hidden, table, targets)
            loss.backward()
            return loss.detach()

        loss = work()
        now()
        before = torch.cuda.memory_allocated() if ON_GPU else 0
        if ON_GPU:
            torch.cuda.reset_peak_memory_stats()
        work()
        peak = (torch.cuda.max_memory_allocated() - before) / 2**30 if ON_GPU else 0.0
        gradient = hidden.grad.float().clone()
        reference = reference or (loss.item(), gradient)
        found[name] = {
            **span(mean_calls(work, 3, 5 if ON_GPU else 1)),
            "GiB": peak,
            "loss differs by": abs(loss.item() - reference[0]),
            "gradient differs by": ((gradient - reference[1]).norm() / reference[1].norm()).item(),
        }
    return found


def in_triton(sizes: Sizes) -> dict:
    """Cross-entropy and its gradient in one Triton kernel beside eager and compiled ones."""
    from tools.measure.loss_kernel import loss_and_gradient

    found = {}
    for vocab in (65, sizes.vocab):
        logits = torch.randn(sizes.rows // 2, vocab, device=DEVICE).requires_grad_()
        targets = torch.randint(vocab, (sizes.rows // 2,), device=DEVICE)

        def by_autograd(loss_fn, logits=logits, targets=targets):
            loss = loss_fn(logits, targets)
            return loss.detach(), torch.autograd.grad(loss, logits)[0]

        ways = {
            "written out": functools.partial(by_autograd, cross_entropy),
            "F.cross_entropy": functools.partial(by_autograd, F.cross_entropy),
            "written out, compiled": functools.partial(by_autograd, torch.compile(cross_entropy)),
            "Triton": functools.partial(loss_and_gradient, logits.detach(), targets),
        }
        exact = by_autograd(F.cross_entropy, logits.detach()[:256].double().requires_grad_(), targets[:256])
        rows = {}
        for name, way in ways.items():
            loss, gradient = way()
            few = gradient[:256].double() * (len(targets) / 256)
            times = span(mean_calls(way, 5, 10))
            rows[name] = {
                **times,
                "GB/s": 2 * logits.nbytes / times["median"] / 1e6,
                "loss": loss.item(),
                "gradient differs by": (few - exact[1]).abs().max().item(),
                "of": exact[1].abs().max().item(),
            }
        found[str(vocab)] = {"rows": len(targets), "ways": rows}
    return found
