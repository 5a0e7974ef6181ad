"""Solutions to the exercises of chapter 07, each after a line with its checker's name."""


# --- shapes
def shapes(config, B, T):
    C, H = config.n_embd, config.n_head
    return {
        "embedded": (B, T, C),
        "queries": (B, H, T, C // H),
        "weights": (B, H, T, T),
        "inside mlp": (B, T, 4 * C),
        "logits": (B, T, config.vocab_size),
    }


# --- count_parameters
def count_parameters(config):
    C = config.n_embd
    tables = (config.vocab_size + config.block_size) * C
    return tables + config.n_layer * (12 * C * C + 13 * C) + 2 * C
