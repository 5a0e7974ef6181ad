"use strict";
// The next-token sampler: a model's probabilities before and after the filters, and a draw from them. The model runs
// once for each text; a new setting only filters the same logits.
{
  const { Widget, Generator, h, row, button, slider, text_field, model_choice, trained_model } = Live;
  const { softmax, sum, probabilities, draw, logits_from_model, ids_of_typed, visible, percent } = Live;
  const { temperature_slider, top_k_choice, seed_field } = Live;

  const SHOWN = 12; // tokens, the most probable ones

  // --- compute

  /** What the sampler shows: the most probable tokens, with probabilities before and after the filters. */
  function compute(text, labels, logits, temperature = 1, top_k = null, top_p = null) {
    if (!logits.every(Number.isFinite)) throw new Error("the model's logits must be finite");
    const filtered = probabilities(logits, temperature, top_k, top_p);
    const raw = softmax(Float64Array.from(logits));
    const order = Array.from(raw, (_, i) => i).sort((i, j) => raw[j] - raw[i] || i - j);
    const first = order.slice(0, SHOWN), rest = order.slice(SHOWN);
    return {
      text,
      tokens: first, // ids, the most probable first
      labels: first.map((i) => labels[i]),
      raw: first.map((i) => raw[i]), // the model's probabilities
      filtered: first.map((i) => filtered[i]), // after temperature, top-k and top-p
      others: rest.length, // the number of tokens that are not shown
      raw_others: sum(rest.map((i) => raw[i])),
      filtered_others: sum(rest.map((i) => filtered[i])),
      possible: filtered.filter((p) => p > 0).length, // the number of tokens that can still be drawn
      order, // all ids, the most probable first
      all: order.map((i) => filtered[i]), // their probabilities after the filters
      drawn: null, // the id of the drawn token
      point: null, // the random number that drew it
    };
  }

  /** How many tokens the filters leave, in one line. */
  function summary(state) {
    const words = `${state.possible} of ${state.tokens.length + state.others} tokens can come`;
    if (!state.others) return words;
    return (
      `${words}; the ${state.others} not shown have ${percent(state.raw_others)} before the filters, ` +
      `${percent(state.filtered_others)} after`
    );
  }

  /** The state with a drawn token: a random number falls on a line on which each token has its probability. */
  function drawn(state, generator) {
    const point = generator.random();
    const place = draw(state.all, { random: () => point });
    return { ...state, drawn: state.order[place], point };
  }

  // --- the widget

  class NextTokenSampler extends Widget {
    constructor(place, trained, { prompt }) {
      super(place, "sampler");
      const filter = () => this.act((signal) => this.state_of(this.ids, signal));
      const begin = () => this.act((signal) => this.state_of_prompt(signal));
      this.prompt = text_field("prompt", { value: prompt, on: begin });
      this.model = model_choice(this, trained, () => {
        this.use(this.model.trained);
        filter();
      });
      this.temperature = temperature_slider(1, filter);
      this.top_k = top_k_choice(filter);
      const show = (p) => p.toFixed(2);
      this.top_p = slider("top-p", { value: 1, min: 0.05, max: 1, step: 0.05, show, on: filter });
      this.seed = seed_field(filter);
      this.button = button("Draw", () => this.press(), { class: "live-primary" });
      this.back = button("One back", () => this.undo());
      this.given = h("b");
      this.continuation = h("span");
      this.page = h(
        "div", { class: "live-written live-caret", tabindex: "0", role: "region", "aria-label": "text so far" },
        this.given, this.continuation,
      );
      this.line = h("div", { class: "live-line", role: "img" });
      this.rows = Array.from({ length: SHOWN }, (_, i) => token_row(() => this.take(i)));
      this.note = h("p", { class: "live-note", role: "status" });
      this.use(trained);
      this.show(
        this.prompt, row(this.model, this.temperature, this.top_k, this.top_p, this.seed), this.message, this.page,
        h("div", { class: "live-buttons" }, this.button, this.back), this.line,
        h(
          "p", { class: "live-key" },
          h("i", { class: "raw" }), "raw", h("i", { class: "filtered" }), "after the filters",
        ),
        h("div", { class: "live-tokens" }, this.rows.map((row) => row.element)), this.note,
      );
      begin();
    }

    use({ model, tokenizer }) {
      this.tokenizer = tokenizer;
      this.labels = Array.from({ length: tokenizer.vocab_size }, (_, i) => tokenizer.decode([i]));
      this.logits_of = logits_from_model(model);
      this.known = new Map(); // the logits of each text so far
    }

    /** The text after the prompt. */
    get text() {
      return this.tokenizer.decode(this.ids.slice(this.prompt_length));
    }

    act(action) {
      this.action = action;
      return this.recompute();
    }

    new_state(signal) {
      return this.action(signal);
    }

    /** The state with the prompt as the text. */
    async state_of_prompt(signal) {
      const prompt = this.prompt.value;
      if (!prompt) throw new Error("the prompt is empty: give the model at least one character to go on from");
      const ids = ids_of_typed(this.tokenizer, prompt);
      const state = await this.state_of(ids, signal);
      this.prompt_length = ids.length;
      return state;
    }

    /** The state with these ids as the text; the model runs if it has not seen them. */
    async state_of(ids, signal) {
      const key = String(ids);
      if (!this.known.has(key)) this.known.set(key, await this.logits_of(ids, signal));
      const settings = [this.temperature.value, this.top_k.value, this.top_p.value === 1 ? null : this.top_p.value];
      const state = compute(this.tokenizer.decode(ids), this.labels, this.known.get(key), ...settings);
      this.ids = ids;
      return state;
    }

    /** Draw a token; if there is a drawn token, append it instead. */
    press() {
      return this.act((signal) => {
        if (this.state.drawn !== null) return this.state_of([...this.ids, this.state.drawn], signal);
        // a generator for each position repeats the draw after a step back
        return drawn(this.state, new Generator(this.seed.value * 2 ** 20 + this.ids.length));
      });
    }

    /** Append the token in row i. */
    take(i) {
      return this.act((signal) => this.state_of([...this.ids, this.state.tokens[i]], signal));
    }

    /** Drop a drawn token; if there is none, remove the last token after the prompt. */
    undo() {
      return this.act((signal) => {
        if (this.state.drawn !== null) return { ...this.state, drawn: null, point: null };
        const first = Math.max(this.ids.length - 1, this.prompt_length);
        return this.state_of(this.ids.slice(0, first), signal);
      });
    }

    show_state() {
      const { state } = this;
      this.button.textContent =
        state.drawn === null ? "Draw" : `Continue with ${visible(this.labels[state.drawn])}`;
      this.back.disabled = state.drawn === null && this.ids.length === this.prompt_length;
      this.given.textContent = this.tokenizer.decode(this.ids.slice(0, this.prompt_length));
      this.continuation.textContent = this.text;
      this.page.scrollTop = this.page.scrollHeight;
      this.rows.forEach((row, i) => row.show(state, i));
      draw_line(this.line, state);
      let note = summary(state);
      if (state.drawn !== null) {
        const known = state.tokens.includes(state.drawn) ? "" : ", which is not among those shown";
        note = `drawn: ${visible(this.labels[state.drawn])}${known}; ${note}`;
      }
      this.note.textContent = note;
    }
  }

  /** A button with a token's two bars: a click takes the token. */
  function token_row(on) {
    const label = h("b"), mark = h("small");
    const bar_of = (kind, named) => {
      const bar = h("i", { class: kind }), words = h("span");
      const spoken = h("span", { class: "live-spoken" }, named);
      return { bar, words, element: h("span", { class: "bar" }, h("span", {}, bar), h("span", {}, spoken, words)) };
    };
    const raw = bar_of("raw", "raw "), filtered = bar_of("filtered", "after the filters ");
    const element = button("", on, { class: "live-token" });
    element.append(h("span", {}, label, mark), h("span", { class: "bars" }, raw.element, filtered.element));
    return {
      element,
      show(state, i) {
        element.hidden = i >= state.tokens.length;
        if (element.hidden) return;
        const is_drawn = state.tokens[i] === state.drawn, cut = state.filtered[i] === 0;
        label.textContent = visible(state.labels[i]);
        for (const [part, p] of [[raw, state.raw[i]], [filtered, state.filtered[i]]]) {
          part.bar.style.width = `${100 * p}%`;
          part.words.textContent = percent(p);
        }
        mark.textContent = is_drawn ? "drawn" : cut ? "cut off" : "";
        element.classList.toggle("drawn", is_drawn);
      },
    };
  }

  /** The line from 0 to 1 that the random number falls on: each token has its probability as its length. */
  function draw_line(line, state) {
    const parts = state.tokens.map((_, i) => [visible(state.labels[i]), state.filtered[i]]);
    parts.push(["others", state.filtered_others]);
    const shown = parts.filter(([, p]) => p > 0);
    line.replaceChildren(
      ...shown.map(([label, p]) => h("span", { style: `width:${100 * p}%` }, p > 0.035 ? label : "")),
      state.point === null ? "" : h("i", { style: `left:${100 * state.point}%` }),
    );
    const where = state.point === null ? "" : ` The random number is ${state.point.toFixed(3)}.`;
    line.setAttribute("aria-label", `A line on which each token has its probability as its length.${where}`);
  }

  Live.next_token_sampler = { compute, summary };
  Live.widgets.sampler = async (place, { model = "char-cpu", prompt = "ROMEO:\n" }) => {
    new NextTokenSampler(place, await trained_model(model), { prompt });
  };
}
