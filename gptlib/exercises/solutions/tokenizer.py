"""Solutions to the exercises of chapter 01, each after a line with its checker's name."""


# --- fewest_tokens
def fewest_tokens(data, tokens):
    fewest = [0]
    for n in range(1, len(data) + 1):
        lengths = [1] + [len(token) for token in tokens if token and data[:n].endswith(token)]
        fewest.append(1 + min(fewest[n - length] for length in lengths))
    return fewest[-1]


# --- code_points
def code_points(data):
    found, i = [], 0
    while i < len(data):
        first = data[i]
        length = 1 if first < 128 else 2 if first < 224 else 3 if first < 240 else 4
        value = first if length == 1 else first & (0b1111111 >> length)  # 0b11111 for two bytes
        for b in data[i + 1 : i + length]:
            value = (value << 6) | (b & 0b00111111)
        found.append(value)
        i += length
    return found
