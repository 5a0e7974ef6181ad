"""Tensors in files: a tree comes back as it was, and a header tells the shapes."""

import json

import torch

from gptlib.tensors import bytes_in, load_tree, read_tensors, save_tensors, save_tree, shapes_in


def test_a_tree_comes_back_with_its_kinds_of_keys_and_dtypes(tmp_path):
    table = torch.randn(3, 4)
    tree = {
        0: {"m": table, "of one memory": table, "transposed": table.T, "steps": torch.tensor(7)},
        "empty": [{}, [], None, True, 0.5, "word"],
        "halves": (torch.arange(5).to(torch.bfloat16), torch.zeros(0)),
    }
    path = tmp_path / "tree.safetensors"
    skeleton = json.loads(json.dumps(save_tree(tree, path)))
    again = load_tree(skeleton, path)
    assert list(again) == list(tree) and again["empty"] == tree["empty"]
    pairs = [(again[0][name], tensor) for name, tensor in tree[0].items()]
    for found, tensor in [*pairs, *zip(again["halves"], tree["halves"], strict=True)]:
        assert found.dtype == tensor.dtype and torch.equal(found, tensor)


def test_names_shapes_and_bytes(tmp_path):
    tensors = {"a": torch.randn(2, 3), "b": torch.randn(4, 2).T}
    save_tensors(tensors, tmp_path / "two.safetensors")
    assert shapes_in(tmp_path / "two.safetensors") == {"a": [2, 3], "b": [2, 4]}
    found = read_tensors(tmp_path / "two.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert bytes_in([tensors, {"tied": tensors["a"]}]) == 4 * (6 + 8)
