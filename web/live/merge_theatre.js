"use strict";
// Merge theatre: byte-pair encoding of the reader's own text, one merge at a time.
{
  const { Widget, h, row, button, slider, text_field, checkbox } = Live;
  const { BPETokenizer, pretokens, utf8, merge, gpt2_tokenizer } = Live;

  const MAX_BYTES = 160;
  const ROWS = 8; // of the table of pairs

  // --- compute

  /** Merge the most frequent pair until no pair occurs twice. At most MAX_BYTES bytes of the text are kept. */
  function compute(text, cut = false) {
    if (!text) throw new Error("the text is empty: write something to encode");
    const notes = [], n_bytes = utf8(text).length;
    if (n_bytes > MAX_BYTES) {
      const characters = [...text];
      while (utf8(characters.join("")).length > MAX_BYTES) characters.pop();
      text = characters.join("");
      notes.push(`The text has ${n_bytes} bytes; the first ${utf8(text).length} are shown.`);
    }
    const spelling = Array.from({ length: 256 }, (_, byte) => [byte]); // the bytes of each id
    const steps = [count((cut ? pretokens(text) : [text]).map(utf8), null)];
    for (let step = steps[0]; step.counts.length && step.counts[0][1] > 1; steps.push(step)) {
      const [a, b] = step.counts[0][0];
      const parts = step.parts.map((part) => merge(part, [a, b], spelling.length));
      spelling.push([...spelling[a], ...spelling[b]]);
      step = count(parts, [a, b]);
    }
    return { text, cut, steps, spelling, notes };
  }

  /** The text after some merges: its parts, the count of each pair of neighbours, and the pair that was merged. */
  function count(parts, joined) {
    const counts = new Map(); // "a,b" -> [[a, b], n]
    for (const part of parts) {
      for (let i = 1; i < part.length; i++) {
        const pair = [part[i - 1], part[i]];
        if (!counts.has(String(pair))) counts.set(String(pair), [pair, 0]);
        counts.get(String(pair))[1]++;
      }
    }
    // the most frequent pair first, of equals the lowest
    const ordered = [...counts.values()].sort(([p, n], [q, m]) => m - n || p[0] - q[0] || p[1] - q[1]);
    return { parts, counts: ordered, joined };
  }

  // --- words

  /** Bytes as text: visible ASCII as it is, a space as ␣, every other byte as \xNN. */
  function escaped(bytes) {
    const letter = (b) => (b > 32 && b < 127 ? String.fromCharCode(b) : `\\x${b.toString(16).padStart(2, "0")}`);
    return bytes.map((b) => (b === 32 ? "␣" : letter(b))).join("");
  }

  const n_tokens = (step) => step.parts.reduce((n, part) => n + part.length, 0);

  /** The numbers of merges, bytes and tokens in one line. */
  function summary(state, number) {
    const tokens = n_tokens(state.steps[number]);
    return `${number} of ${state.steps.length - 1} merges: ${utf8(state.text).length} bytes, ${tokens} tokens`;
  }

  /** The merge of this step and the next one, in one line. */
  function description(state, number) {
    const { joined, counts } = state.steps[number], spelled = ([a, b]) => [a, b].map((i) => escaped(state.spelling[i]));
    const done = joined ? `Joined ${spelled(joined).join(" and ")}: token ${255 + number}.` : "The bytes of the text.";
    if (number + 1 === state.steps.length) return `${done} No pair occurs twice any more.`;
    return `${done} Next: ${spelled(counts[0][0]).join(" and ")}, which occur ${counts[0][1]} times.`;
  }

  /** One line: whether chapter 01's tokenizer, given the pairs merged so far, splits the text in the same places. */
  function encoded_anew(state, number) {
    const pairs = state.steps.slice(1, number + 1).map((step) => step.joined);
    const tokenizer = new BPETokenizer(pairs, undefined, state.cut ? pretokens : (text) => [text]);
    const ids = tokenizer.encode(state.text);
    const same = String(ids) === String(state.steps[number].parts.flat());
    return `BPETokenizer with these pairs: ${ids.length} tokens, ${same ? "the same ones" : "other ones"}`;
  }

  /** One line: GPT-2's tokens of the text. */
  function with_gpt2(text, tokenizer) {
    const pieces = tokenizer.encode(text).map((id) => escaped(tokenizer.decode_bytes([id])));
    return `GPT-2, with 50,000 pairs learned from web pages: ${pieces.length} tokens: ${pieces.join(" | ")}`;
  }

  // --- the widget

  class MergeTheatre extends Widget {
    constructor(place, { text }) {
      super(place, "theatre");
      const anew = () => this.recompute();
      this.text = text_field("text", { value: text, on: anew });
      this.cut = checkbox("cut into words first", { on: anew });
      this.step = slider("merges", { value: 0, min: 0, max: 1, on: () => this.redraw() });
      this.back = button("One merge back", () => this.move(-1));
      this.forward = button("Next merge", () => this.move(1), { class: "live-primary" });
      this.said = h("p", { role: "status" });
      this.chips = h("div", { class: "live-chips" });
      this.pairs = h("tbody");
      this.more = h("p", { class: "live-note" });
      this.anew = h("p", { class: "live-note" });
      this.gpt2 = h("p", { class: "live-note live-code" });
      const names = ["pair", "ids", "count"].map((name) => h("th", { scope: "col" }, name));
      this.show(
        this.text, row(this.step, this.cut), h("div", { class: "live-buttons" }, this.back, this.forward),
        this.message, this.said, this.chips,
        h("table", { class: "live-pairs" }, h("thead", {}, h("tr", {}, names)), this.pairs),
        this.more, this.anew, this.gpt2,
      );
      this.recompute();
      gpt2_tokenizer().then(
        (tokenizer) => {
          this.gpt2_tokenizer = tokenizer;
          this.redraw();
        },
        (error) => (this.gpt2.textContent = `GPT-2's tokens are missing: ${error.message}`),
      );
    }

    /** Go so many merges on, as far as there are any. */
    move(by) {
      this.step.value += by;
      this.redraw();
    }

    new_state() {
      const state = compute(this.text.value, this.cut.value);
      this.step.max = state.steps.length - 1;
      this.step.value = 0;
      return state;
    }

    show_state() {
      const { state } = this, number = this.step.value, step = state.steps[number];
      this.back.disabled = number === 0;
      this.forward.disabled = number === state.steps.length - 1;
      this.said.replaceChildren(h("b", {}, summary(state, number)), h("br"), description(state, number));
      this.chips.replaceChildren(...step.parts.map((part) => h("span", {}, part.map((id) => chip(state, number, id)))));
      this.pairs.replaceChildren(
        ...step.counts.slice(0, ROWS).map(([[a, b], n], place) =>
          h(
            "tr", { class: place === 0 && n > 1 ? "next" : "" },
            h("td", {}, `${escaped(state.spelling[a])} + ${escaped(state.spelling[b])}`),
            h("td", {}, `${a}, ${b}`),
            h("td", {}, n),
          ),
        ),
      );
      const more = step.counts.length - ROWS;
      this.more.textContent = more > 0 ? `and ${more} more pairs` : "";
      this.anew.textContent = encoded_anew(state, number);
      if (this.gpt2_tokenizer) this.gpt2.textContent = with_gpt2(state.text, this.gpt2_tokenizer);
    }
  }

  /** A token; the one of this step has a thick frame, single bytes have no colour. */
  function chip(state, number, id) {
    const kind = id > 255 ? `merged tint-${id % 8}` : "byte";
    const newest = number > 0 && id === 255 + number ? " newest" : "";
    return h("span", { class: kind + newest, title: `token ${id}` }, escaped(state.spelling[id]));
  }

  Live.merge_theatre = { compute, summary, description, encoded_anew, with_gpt2 };
  Live.widgets.theatre = (place, options) => new MergeTheatre(place, options);
}
