"use strict";
// Chapter 07: GPT-2. Embeddings, n_layer blocks, a last LayerNorm, and logits through the token table again.
{
  const { Linear, Embedding, LayerNorm, CausalSelfAttention, MLP, Block, add } = Live;

  class GPT {
    /** `state` holds the weights under GPT-2's names: a matrix is an array of rows, a vector a Float32Array. */
    constructor(config, state) {
      this.config = config;
      const linear = (name) => new Linear(state[`${name}.weight`], state[`${name}.bias`]);
      const norm = (name) => new LayerNorm(state[`${name}.weight`], state[`${name}.bias`]);
      this.wte = new Embedding(state["wte.weight"]);
      this.wpe = new Embedding(state["wpe.weight"]);
      this.h = Array.from({ length: config.n_layer }, (_, i) => {
        const attn = new CausalSelfAttention(linear(`h.${i}.attn.c_attn`), linear(`h.${i}.attn.c_proj`), config.n_head);
        const mlp = new MLP(linear(`h.${i}.mlp.c_fc`), linear(`h.${i}.mlp.c_proj`));
        return new Block(norm(`h.${i}.ln_1`), attn, norm(`h.${i}.ln_2`), mlp);
      });
      this.ln_f = norm("ln_f");
      this.lm_head = new Linear(this.wte.weight); // one table, used twice
    }

    /** idx [T] -> logits [T, vocab_size]. */
    forward(idx, cache = null) {
      return this.lm_head.forward(this.hidden(idx, cache));
    }

    /** What the last LayerNorm gives and `lm_head` turns into logits. With a cache, idx holds the newest tokens. */
    hidden(idx, cache = null) {
      let x = this.embed(idx, cache ? cache.length : 0);
      this.h.forEach((block, layer) => {
        x = block.forward(x, cache && cache.layers[layer]);
      });
      return this.ln_f.forward(x);
    }

    /** The token's vector plus the position's: what the first block gets. `start` is the first token's position. */
    embed(idx, start = 0) {
      const end = start + idx.length;
      if (end > this.config.block_size) {
        throw new Error(`T=${end} exceeds block_size=${this.config.block_size}: crop the context`);
      }
      const positions = this.wpe.forward(idx.map((_, t) => start + t));
      return this.wte.forward(idx).map((row, t) => add(row, positions[t]));
    }

    /** How many numbers the model has learned. */
    get n_parameters() {
      const { n_layer, n_embd, vocab_size, block_size } = this.config;
      return 12 * n_layer * n_embd ** 2 + (vocab_size + block_size) * n_embd;
    }
  }

  Object.assign(Live, { GPT });
}
