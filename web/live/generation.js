"use strict";
// Chapter 12: text from a model. Temperature, top-k, top-p, the key-value cache, and seeded random numbers.
{
  const { softmax, max, argmax, pause } = Live;

  /** Random numbers that a seed repeats: the generator sfc32 of the PractRand suite. They are not PyTorch's. */
  class Generator {
    constructor(seed) {
      this.state = new Int32Array([seed, seed / 2 ** 32, 0, 1]);
      for (let i = 0; i < 15; i++) this.random(); // after these, near seeds have nothing in common
    }

    /** A number from 0 up to, and without, 1. */
    random() {
      const [a, b, c, counter] = this.state;
      const drawn = (a + b + counter) | 0;
      this.state.set([b ^ (b >>> 9), c + (c << 3), ((c << 21) | (c >>> 11)) + drawn, counter + 1]);
      return (drawn >>> 0) / 2 ** 32;
    }
  }

  /** The k largest logits, of equal ones no more than that; -Infinity in all other places. */
  function keep_top_k(logits, k) {
    const kept = new Set(in_order(logits).slice(0, k));
    return logits.map((logit, i) => (kept.has(i) ? logit : -Infinity));
  }

  /** The smallest set of likeliest tokens that together have at least p; -Infinity in all other places. */
  function keep_top_p(logits, p) {
    const shares = softmax(logits), kept = new Set();
    let before = 0; // what the likelier tokens have together
    for (const i of in_order(logits)) {
      if (before >= p) break;
      kept.add(i);
      before += shares[i];
    }
    return logits.map((logit, i) => (kept.has(i) ? logit : -Infinity));
  }

  /** The places of the values, the largest first; of equal ones the first first. */
  function in_order(values) {
    return Array.from(values, (_, i) => i).sort((i, j) => values[j] - values[i] || i - j);
  }

  /** Error that names a setting which makes no sense. */
  function check_settings(temperature, top_k, top_p) {
    if (!(temperature >= 0 && temperature < Infinity)) {
      throw new Error(`temperature=${temperature} must not be negative; 0 always takes the likeliest token`);
    }
    if (top_k !== null && !(Number.isInteger(top_k) && top_k >= 1)) {
      throw new Error(`top_k=${top_k} must be at least 1, and a whole number`);
    }
    if (top_p !== null && !(top_p > 0 && top_p <= 1)) throw new Error(`top_p=${top_p} must lie in (0, 1]`);
  }

  /** Logits divided by the temperature, the largest moved to 0, everything outside top-k and top-p at -Infinity. */
  function filter_logits(logits, temperature = 1, top_k = null, top_p = null) {
    const largest = max(logits);
    let filtered = Float64Array.from(logits, (logit) => (logit - largest) / temperature);
    if (top_k !== null) filtered = keep_top_k(filtered, top_k);
    if (top_p !== null && top_p < 1) filtered = keep_top_p(filtered, top_p);
    return filtered;
  }

  /** The distribution that the next token is drawn from; all on the likeliest at temperature 0. */
  function probabilities(logits, temperature, top_k = null, top_p = null) {
    check_settings(temperature, top_k, top_p);
    if (temperature === 0) {
      const best = argmax(logits);
      return Float64Array.from(logits, (_, i) => (i === best ? 1 : 0));
    }
    return softmax(filter_logits(logits, temperature, top_k, top_p));
  }

  /** One token: the first whose probability, added to those before it, exceeds a random number. */
  function draw(p, generator) {
    let left = generator.random();
    for (let i = 0; i < p.length; i++) {
      left -= p[i];
      if (left < 0) return i;
    }
    return argmax(p); // the sum was rounded to a little less than 1
  }

  /** The keys and values of one layer: each [n_head][length][head_size]. */
  class LayerCache {
    constructor() {
      this.k = this.v = null;
    }

    append(k, v) {
      this.k = this.k ? this.k.map((head, h) => head.concat(k[h])) : k;
      this.v = this.v ? this.v.map((head, h) => head.concat(v[h])) : v;
      return [this.k, this.v];
    }

    /** Forget all positions but the first n. */
    keep(n) {
      if (this.k) [this.k, this.v] = [this.k, this.v].map((part) => part.map((head) => head.slice(0, n)));
    }
  }

  /** The keys and values of all positions that a GPT has seen: one LayerCache per block. */
  class KVCache {
    constructor(n_layer) {
      this.layers = Array.from({ length: n_layer }, () => new LayerCache());
    }

    get length() {
      return this.layers[0].k ? this.layers[0].k[0].length : 0;
    }

    keep(n) {
      for (const layer of this.layers) layer.keep(n);
    }
  }

  const PRODUCTS = 8e6; // multiplications between two pauses, a few milliseconds of work

  /** What `model.hidden` gives for idx, computed a few tokens at a time, so that the page answers meanwhile. */
  async function hidden_in_slices(model, idx, cache, signal) {
    const slice = Math.max(1, Math.floor(PRODUCTS / model.n_parameters)), x = [];
    for (let start = 0; start < idx.length; start += slice) {
      await pause(signal);
      x.push(...model.hidden(idx.slice(start, start + slice), cache));
    }
    return x;
  }

  /**
   * A function from the ids so far to the logits of the next token. A cache keeps the keys and values that a text
   * shares with the one before. A text longer than block_size is cropped on the left, and computed without what
   * is cached, because its positions shift.
   */
  function logits_from_model(model) {
    const { n_layer, block_size } = model.config;
    const cache = new KVCache(n_layer);
    let kept = []; // the ids whose keys and values the cache holds

    return async function logits_of(ids, signal) {
      if (ids.length > block_size) {
        ids = ids.slice(-block_size);
        kept = [];
      }
      let shared = 0;
      while (shared < Math.min(kept.length, ids.length - 1) && kept[shared] === ids[shared]) shared++;
      cache.keep(shared);
      kept = []; // an interrupted pass leaves the cache with some of the positions
      const x = await hidden_in_slices(model, ids.slice(shared), cache, signal);
      kept = ids;
      return model.lm_head.forward(x.slice(-1))[0];
    };
  }

  /** The next tokens, one after the other. The same seed of the generator gives the same text. */
  async function* stream(model, idx, max_new_tokens, settings = {}) {
    const { temperature = 1, top_k = null, top_p = null, generator = new Generator(1), signal } = settings;
    if (idx.length === 0) throw new Error("the prompt is empty: give at least one token to start from");
    const logits_of = logits_from_model(model);
    for (let i = 0; i < max_new_tokens; i++) {
      const p = probabilities(await logits_of(idx, signal), temperature, top_k, top_p);
      const id = draw(p, generator);
      idx = [...idx, id];
      yield id;
    }
  }

  Object.assign(Live, { Generator, keep_top_k, keep_top_p, filter_logits, probabilities, draw });
  Object.assign(Live, { KVCache, hidden_in_slices, logits_from_model, stream });
}
