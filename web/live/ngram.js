"use strict";
// Chapter 03: a table of what followed the last order - 1 tokens, mixed with shorter histories (Witten-Bell).
{
  const { CharTokenizer, load_script, pause } = Live;

  const SLICE = 20_000; // tokens between two pauses

  /**
   * p_k(c | h) = (count(hc) + kinds(h) · p_(k-1)(c | shorter h)) / (count(h) + kinds(h)), and p_0 = 1 / vocab_size.
   * Order 1 is single characters. A sequence of k tokens is one number in base vocab_size.
   */
  class NGram {
    constructor(vocab_size) {
      this.vocab_size = vocab_size;
      this.tables = []; // of sequences of 1, 2, … tokens
    }

    /** Count all sequences of up to `order` tokens; those that are counted already stay. */
    async fit(tokens, order) {
      while (this.tables.length < order) {
        const k = this.tables.length + 1, table = { counts: new Map(), totals: new Map(), kinds: new Map() };
        const codes = this.codes(tokens, k);
        for (let at = 0; at < codes.length; at++) {
          if (at % SLICE === 0) await pause();
          const code = codes[at], history = Math.floor(code / this.vocab_size), count = table.counts.get(code) ?? 0;
          table.counts.set(code, count + 1);
          table.totals.set(history, (table.totals.get(history) ?? 0) + 1);
          if (count === 0) table.kinds.set(history, (table.kinds.get(history) ?? 0) + 1);
        }
        this.tables.push(table);
      }
    }

    /** Each run of k tokens as one number: [N - k + 1]. */
    codes(tokens, k) {
      const codes = new Float64Array(Math.max(0, tokens.length - k + 1));
      for (let i = 0; i < k; i++) {
        for (let at = 0; at < codes.length; at++) codes[at] = codes[at] * this.vocab_size + tokens[at + i];
      }
      return codes;
    }

    /** -ln p in nats of every token, each with as much history as the order allows. The first has none. */
    losses(tokens, order) {
      const p = tokens.map(() => 1 / this.vocab_size);
      for (let k = 1; k <= order; k++) {
        const { counts, totals, kinds } = this.tables[k - 1];
        this.codes(tokens, k).forEach((code, at) => {
          const history = Math.floor(code / this.vocab_size), place = at + k - 1;
          const total = totals.get(history) ?? 0, weight = kinds.get(history) ?? 0;
          if (total) p[place] = ((counts.get(code) ?? 0) + weight * p[place]) / (total + weight);
        });
      }
      return p.map((share) => -Math.log(share));
    }
  }

  let text = null; // the training text, and its characters
  let counting = null; // a promise of the tokenizer, and of the table as far as it is counted

  /** What the script of the training text calls. */
  function corpus(file) {
    text = file;
  }

  async function begin() {
    await load_script("corpus.js");
    const tokenizer = new CharTokenizer(text.characters), tokens = [];
    for (let at = 0; at < text.train.length; at += SLICE) {
      await pause();
      for (const id of tokenizer.encode(text.train.slice(at, at + SLICE))) tokens.push(id);
    }
    return { tokenizer, tokens, table: new NGram(tokenizer.vocab_size) };
  }

  /** A function from a text to the loss of each of its characters under the table of this order; the first is NaN. */
  async function losses_of_ngram(order) {
    const { tokenizer, tokens, table } = await (counting ??= begin().catch((error) => {
      counting = null; // the next call tries again
      throw error;
    }));
    await table.fit(tokens, order);
    return (text) => {
      const losses = table.losses(tokenizer.encode(text), order);
      return losses.map((loss, i) => (i === 0 ? NaN : loss)); // nothing was before it
    };
  }

  Object.assign(Live, { NGram, corpus, losses_of_ngram });
}
