"""tools/measure/trace: FLOPs and bytes of operations, kernels and what started them, host and device."""

import json

import pytest
import torch

from gptlib.config import PRESETS
from gptlib.exercises.notebook import read_notebook, source_of
from gptlib.roofline import step_flops
from tools.chapters import ROOT
from tools.measure import trace
from tools.measure.profiles import profiled
from tools.measure.sizes import TINY
from tools.measure.steps import Variant, stepping

TOKENS = torch.arange(4000) % 65


def event(name, cat="cpu_op", ts=0.0, dur=1.0, **args):
    return {"ph": "X", "name": name, "cat": cat, "ts": ts, "dur": dur, "args": args}


def op(name, dims, kinds, **more):
    return event(name, **{"Input Dims": dims, "Input type": kinds}, **more)


@pytest.mark.parametrize(
    ("name", "dims", "kinds", "flops", "moved"),
    [
        ("aten::mm", [[2, 3], [3, 4]], ["float", "float"], 48, 4 * (6 + 12 + 8)),
        ("aten::mm", [[2, 3], [3, 4], [2, 4]], ["c10::BFloat16"] * 3, 48, 2 * (6 + 12 + 8)),  # with its place
        ("aten::addmm", [[4], [2, 3], [3, 4], [], []], ["float"] * 3 + ["Scalar"] * 2, 48, 4 * (6 + 12 + 8)),
        ("aten::bmm", [[5, 2, 3], [5, 3, 4]], ["float", "float"], 240, 4 * 5 * (6 + 12 + 8)),
        # causal: half of two products of 2·T·T·head_size for each of B·H
        (
            "aten::_flash_attention_forward",
            [[1, 8, 2, 4]] * 3,
            ["c10::BFloat16"] * 3,
            2 * 2 * 8 * 8 * 4,
            4 * 64 * 2,
        ),
        ("aten::_cudnn_attention_backward", [[1, 2, 8, 4]] * 6, ["float"] * 6, 5 * 2 * 8 * 8 * 4, 8 * 64 * 4),
        ("aten::mul", [[3, 4], []], ["float", "double"], 12, 4 * 12 + 8 + 4 * 12),
        ("aten::gelu", [[3, 4], []], ["c10::BFloat16", ""], 8 * 12, 2 * 2 * 12),
        ("aten::sum", [[3, 4], []], ["float", ""], 12, 4 * 12),
        ("aten::copy_", [[3, 4], [3, 4]], ["c10::BFloat16", "float"], 0, 6 * 12),
        ("aten::fill_", [[3, 4], []], ["float", "Scalar"], 0, 4 * 12),
        ("aten::_foreach_mul_", [[[3, 4], [5]], []], ["TensorList", "Scalar"], 17, 2 * 4 * 17),
        ("aten::_fused_adamw_", [[[3, 4]]] * 4, ["TensorList"] * 4, 15 * 12, 7 * 4 * 12),
        ("aten::index", [[65, 8], [[2, 3]]], ["float", "TensorList"], 0, 2 * 6 * 8 * 4),
        (
            "triton_poi_fused_add_gelu_3",
            [[3, 4], [3, 4], []],
            ["float", "c10::BFloat16", "Scalar"],
            9 * 12,
            6 * 12,
        ),
        ("aten::item", [], [], 0, 0),
    ],
)
def test_flops_and_bytes_of_an_operation(name, dims, kinds, flops, moved):
    assert trace.counted(trace.bare(name), op(name, dims, kinds)) == (flops, moved)


def test_a_kernel_belongs_to_the_operation_that_started_it():
    matrices = {"Input Dims": [[2, 3], [3, 4]], "Input type": ["float", "float"]}
    events = [
        event("optimizer", "user_annotation", 50, 40, **{"External id": 9}),
        event("aten::mm", ts=10, dur=5, **{"External id": 1}, **matrices),
        event("aten::mul_", ts=60, **{"External id": 2, "Input Dims": [[7]], "Input type": ["float"]}),
        event("cudaLaunchKernel", "cuda_runtime", 11, 2),
        event("cudaLaunchKernel", "cuda_runtime", 61, 2),
        event("cudaStreamSynchronize", "cuda_runtime", 70, 5),
        event("void gemm<float>(int)", "kernel", 20, 6, **{"External id": 1}),
        event("splitKreduce", "kernel", 26, 2, **{"External id": 1}),
        event("vectorized_elementwise_kernel<4>", "kernel", 66, 3, **{"External id": 2}),
        event("nvjet_sm90", "kernel", 70, 1),  # a recorded one: nobody started it
    ]
    rows = trace.kernels(events)
    assert [(r["kernel"], r["kind"], r["us"], r["flops"]) for r in rows] == [
        ("gemm", "product", 6, 48),
        ("vectorized_elementwise_kernel", "optimizer", 3, 7),
        ("splitKreduce", "product", 2, 0),
        ("nvjet_sm90", "product", 1, 0),
    ]
    line = trace.timeline(events)
    assert (line["us"], line["busy_us"], line["n_launches"], line["n_kernels"]) == (60, 12, 2, 4)
    assert line["device"] == [[9, 17], [55, 58], [59, 60]] and line["waits"] == [[59, 60]]
    assert line["launches"] == [[0, 2], [50, 52]]


def test_what_lies_close_is_one_span():
    assert trace.merged([(0, 1), (1.5, 2), (4, 5)], gap=1) == [[0, 2], [4, 5]]
    assert trace.merged([(0, 9), (1, 2)], gap=1) == [[0, 9]]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CPU's operations are looked at")
def test_the_products_of_a_real_step_are_those_that_are_counted():
    run = TINY
    with stepping(Variant(), "adamw", TOKENS, run) as step:
        rows = trace.kernels(profiled(step))
    products = sum(row["flops"] for row in rows if row["kind"] == "product")
    assert products == step_flops(run.model, run.train.batch_size)
    assert {"product", "elementwise", "reduction", "optimizer"} <= {row["kind"] for row in rows}


def test_chapter_14_reads_the_kernel_that_was_measured():
    notebook = read_notebook(ROOT / "notebooks" / "14_speed.ipynb")
    shown = [source_of(cell) for cell in notebook["cells"] if source_of(cell).startswith("def loss_kernel")]
    measured = (ROOT / "tools" / "measure" / "loss_kernel.py").read_text(encoding="utf-8")
    assert len(shown) == 1 and f"@triton.jit\n{shown[0]}\n" in measured


# --- the measurement that chapter 14 shows

GPU = json.loads((ROOT / "data" / "runs" / "speed" / "gpu.json").read_text(encoding="utf-8"))


def test_all_parts_were_measured_in_several_launches():
    assert GPU["failed"] == {} and len(GPU["launches"]) >= 3
    table = list(GPU["equality"]["differences"])
    assert all(list(launch)[: len(table)] == table for launch in GPU["launches"])
    assert set(GPU["profiles"]["kernels"]) >= {"plain loop", "bf16 products", "compiled"}


def test_the_stored_kernels_make_the_products_that_are_counted():
    rows = GPU["profiles"]["kernels"]["plain loop"]
    preset = PRESETS["char-gpu"]
    products = sum(row["flops"] for row in rows if row["kind"] == "product")
    assert products == step_flops(preset.model, preset.train.batch_size)
    busy = GPU["profiles"]["timelines"]["plain loop"]["busy_us"]
    assert sum(row["us"] for row in rows) == pytest.approx(busy, rel=0.01)


def test_no_product_is_faster_than_the_data_sheet():
    for name, limit in (("plain loop", "float32"), ("compiled", "bfloat16")):
        for row in GPU["profiles"]["kernels"][name]:
            if row["kind"] == "product":
                assert row["flops"] / row["us"] / 1e6 < GPU["sheet"][limit]
