"use strict";
// Chapter 06: the MLP and the pre-norm block, which write into the residual stream.
{
  const { gelu, add } = Live;

  /** Two linear layers with GELU between them, four times as wide inside; each position by itself. */
  class MLP {
    constructor(c_fc, c_proj) {
      this.c_fc = c_fc;
      this.c_proj = c_proj;
    }

    forward(x) {
      return this.c_proj.forward(this.c_fc.forward(x).map(gelu));
    }
  }

  /** x + attention(norm(x)), then x + mlp(norm(x)). x [T, C] -> [T, C]. */
  class Block {
    constructor(ln_1, attn, ln_2, mlp) {
      Object.assign(this, { ln_1, attn, ln_2, mlp });
    }

    forward(x, cache = null) {
      const written = this.attn.forward(this.ln_1.forward(x), cache);
      x = x.map((row, t) => add(row, written[t]));
      const more = this.mlp.forward(this.ln_2.forward(x));
      return x.map((row, t) => add(row, more[t]));
    }
  }

  Object.assign(Live, { MLP, Block });
}
