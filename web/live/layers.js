"use strict";
// Chapter 04: the layers that a GPT is made of. x [T, n] is an array of T vectors (Float32Array), one a position.
// Loops go over places, because a call for each number would take several times as long.
{
  /** y = x Wᵀ + b: every output is a weighted sum of the inputs. weight [n_out, n_in], bias [n_out] or none. */
  class Linear {
    constructor(weight, bias = null) {
      this.weight = weight; // an array of n_out rows
      this.bias = bias;
    }

    forward(x) {
      return x.map((row) => this.of_row(row));
    }

    // Four rows of the matrix at a time: each number of x is read once for four products.
    of_row(x) {
      const { weight, bias } = this;
      const n_out = weight.length, y = new Float32Array(n_out);
      let j = 0;
      for (; j + 4 <= n_out; j += 4) {
        const w0 = weight[j], w1 = weight[j + 1], w2 = weight[j + 2], w3 = weight[j + 3];
        let y0 = 0, y1 = 0, y2 = 0, y3 = 0;
        for (let i = 0; i < x.length; i++) {
          const xi = x[i];
          y0 += w0[i] * xi;
          y1 += w1[i] * xi;
          y2 += w2[i] * xi;
          y3 += w3[i] * xi;
        }
        y[j] = y0;
        y[j + 1] = y1;
        y[j + 2] = y2;
        y[j + 3] = y3;
      }
      for (; j < n_out; j++) y[j] = dot(weight[j], x);
      if (bias) for (j = 0; j < n_out; j++) y[j] += bias[j];
      return y;
    }
  }

  /** A table with one row per id: ids [T] -> [T, dim]. */
  class Embedding {
    constructor(weight) {
      this.weight = weight;
    }

    forward(idx) {
      return idx.map((id) => this.weight[id]);
    }
  }

  /** Each vector gets mean 0 and variance 1, then a learned scale and shift. */
  class LayerNorm {
    constructor(weight, bias = null) {
      this.weight = weight;
      this.bias = bias;
      this.eps = 1e-5;
    }

    forward(x) {
      return x.map((row) => {
        const y = new Float32Array(row.length), mean = sum(row) / row.length;
        let variance = 0;
        for (let i = 0; i < y.length; i++) variance += (row[i] - mean) ** 2 / row.length;
        const scale = 1 / Math.sqrt(variance + this.eps);
        for (let i = 0; i < y.length; i++) {
          y[i] = (row[i] - mean) * scale * this.weight[i] + (this.bias ? this.bias[i] : 0);
        }
        return y;
      });
    }
  }

  /** GPT-2's activation, the tanh form; ½(1 + tanh u) = σ(2u). */
  function gelu(x) {
    const a = 2 * Math.sqrt(2 / Math.PI), y = new Float32Array(x.length);
    for (let i = 0; i < x.length; i++) {
      y[i] = x[i] / (1 + Math.exp(-x[i] * (a + a * 0.044715 * x[i] * x[i])));
    }
    return y;
  }

  /** The weights of a distribution: e to each score less the largest one, divided by their sum. */
  function softmax(scores) {
    const p = new Float64Array(scores), largest = max(p);
    for (let i = 0; i < p.length; i++) p[i] = Math.exp(p[i] - largest);
    const total = sum(p);
    for (let i = 0; i < p.length; i++) p[i] /= total;
    return p;
  }

  function dot(a, b) {
    let total = 0;
    for (let i = 0; i < a.length; i++) total += a[i] * b[i];
    return total;
  }

  /** a + b, element by element. */
  function add(a, b) {
    const y = new Float32Array(a.length);
    for (let i = 0; i < y.length; i++) y[i] = a[i] + b[i];
    return y;
  }

  function sum(values) {
    let total = 0;
    for (let i = 0; i < values.length; i++) total += values[i];
    return total;
  }

  function max(values) {
    let largest = -Infinity;
    for (let i = 0; i < values.length; i++) if (values[i] > largest) largest = values[i];
    return largest;
  }

  function argmax(values) {
    return values.indexOf(max(values));
  }

  Object.assign(Live, { Linear, Embedding, LayerNorm, gelu, softmax, dot, add, sum, max, argmax });
}
