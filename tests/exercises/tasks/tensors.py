"""What readers might write for the tree of chapter 11: other styles, and mistakes by their key words."""

RIGHT = {
    "put_tensors": [
        """
def put_tensors(tree, tensors):
    kind = next(iter(tree))
    match kind:
        case "value":
            return tree["value"]
        case "tensor":
            return tensors[tree["tensor"]]
        case "list":
            return list(map(lambda part: put_tensors(part, tensors), tree["list"]))
    return dict([key, put_tensors(part, tensors)] for key, part in tree["dict"])
""",
        """
def put_tensors(tree, tensors):
    if "dict" in tree:
        found = {}
        for pair in tree["dict"]:
            found[pair[0]] = put_tensors(pair[1], tensors)
    elif "list" in tree:
        found = []
        for part in tree["list"]:
            found.append(put_tensors(part, tensors))
    elif "tensor" in tree:
        found = tensors[tree["tensor"]].clone()
    else:
        found = tree["value"]
    return found
""",
    ],
}
BUGS = {
    "put_tensors": [
        ("return tensors[value]", "return value", "its name"),
        ("{k: put_tensors(v, tensors) for k, v in value}", "{k: v for k, v in value}", "still a description"),
        ("[put_tensors(v, tensors) for v in value]", "value", "still a description"),
        (
            "[put_tensors(v, tensors) for v in value]",
            "tuple(put_tensors(v, tensors) for v in value)",
            "as a list",
        ),
        (
            "{k: put_tensors(v, tensors) for k, v in value}",
            "{str(k): put_tensors(v, tensors) for k, v in value}",
            "numbers",
        ),
        (
            "{k: put_tensors(v, tensors) for k, v in value}",
            "[[k, put_tensors(v, tensors)] for k, v in value]",
            "as a dictionary",
        ),
        ("return tensors[value]", "return tensors.pop(value)", "you changed"),
        ("    return value\n    # end", "    return tree\n    # end", "the description itself"),
        ("    return value\n    # end", "    # end", "None"),
    ],
}
