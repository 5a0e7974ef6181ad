"use strict";
// Chapter 05: causal multi-head self-attention.
{
  const { softmax, dot } = Live;

  /** Who may look at whom: entry [t][s] is true when the newest T of S positions may look at position s. */
  function causal_mask(T, S = T) {
    return Array.from({ length: T }, (_, t) => Array.from({ length: S }, (_, s) => s <= S - T + t));
  }

  /** softmax(q kᵀ / √head_size), with -Infinity wherever the mask is false. q [T, head_size], k [S, head_size]. */
  function attention_weights(q, k, mask) {
    return q.map((query, t) => {
      const scores = new Float64Array(k.length);
      for (let s = 0; s < k.length; s++) {
        scores[s] = !mask || mask[t][s] ? dot(query, k[s]) / Math.sqrt(query.length) : -Infinity;
      }
      return softmax(scores);
    });
  }

  /** Sums of the values [S, head_size] with these weights [T, S]: [T, head_size]. */
  function weighted_sum(weights, v) {
    return weights.map((row) => {
      const y = new Float64Array(v[0].length);
      for (let s = 0; s < v.length; s++) {
        const weight = row[s], value = v[s];
        if (weight) for (let i = 0; i < y.length; i++) y[i] += weight * value[i];
      }
      return y;
    });
  }

  /** All heads of one layer: x [T, C] -> [T, C], position t sees positions 0 … t. */
  class CausalSelfAttention {
    constructor(c_attn, c_proj, n_head) {
      this.c_attn = c_attn; // queries, keys and values of all heads at once
      this.c_proj = c_proj;
      this.n_head = n_head;
    }

    /** With a cache, x holds only the newest T of S positions. */
    forward(x, cache = null) {
      let [q, k, v] = this.split_heads(x); // each [n_head][T][head_size]
      if (cache) [k, v] = cache.append(k, v); // each [n_head][S][head_size]
      const mask = causal_mask(x.length, k[0].length);
      const heads = q.map((query, h) => weighted_sum(attention_weights(query, k[h], mask), v[h]));
      const y = x.map((row, t) => side_by_side(heads.map((head) => head[t]))); // [T, C]
      return this.c_proj.forward(y);
    }

    /** Queries, keys and values, each [n_head][T][head_size]. */
    split_heads(x) {
      const C = x[0].length, head_size = C / this.n_head;
      const qkv = this.c_attn.forward(x);
      return [0, C, 2 * C].map((start) =>
        Array.from({ length: this.n_head }, (_, h) => {
          const from = start + h * head_size;
          return qkv.map((row) => row.subarray(from, from + head_size));
        }),
      );
    }
  }

  /** Vectors in one: [head_size] of each head -> [C]. */
  function side_by_side(parts) {
    const y = new Float32Array(parts.length * parts[0].length);
    parts.forEach((part, h) => y.set(part, h * part.length));
    return y;
  }

  Object.assign(Live, { causal_mask, attention_weights, weighted_sum, CausalSelfAttention });
}
