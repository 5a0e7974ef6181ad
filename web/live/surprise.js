"use strict";
// Surprise: a text whose background shows the loss of each character under a model.
{
  const { Widget, h, row, slider, text_field, trained_model, KVCache, hidden_in_slices } = Live;
  const { softmax, sum, rgb, visible, general, choice, losses_of_ngram, MODELS } = Live;

  const MAX_CHARACTERS = 600;
  const DARKEST = 8; // nats: a loss of this or more has the darkest colour
  const LEVELS = 33; // colours, a quarter of a nat apart
  // some colours of matplotlib's Oranges, which darkens monotonically, and white for a loss of 0
  const ORANGES = "fff5eb fee6ce fdd0a2 fdae6b fd8d3c f16913 d94801 a63603 7f2704".split(" ").map(rgb);

  // --- compute

  /** A text and its losses (NaN where nothing was predicted); `loss` is their mean over the predicted characters. */
  function compute(text, losses, name = "model") {
    let characters = [...text];
    if (!characters.length) throw new Error("the text is empty: write something to look at");
    const notes = [];
    if (characters.length > MAX_CHARACTERS) {
      notes.push(`The text has ${characters.length} characters; the first ${MAX_CHARACTERS} are shown.`);
    }
    characters = characters.slice(0, MAX_CHARACTERS);
    losses = Array.from(losses).slice(0, MAX_CHARACTERS);
    const known = losses.filter((loss) => !Number.isNaN(loss));
    const loss = known.length ? sum(known) / known.length : NaN;
    return { characters, losses, loss, bits: loss / Math.LN2, perplexity: Math.exp(loss), name, notes };
  }

  // --- colours and words

  /** The background for a loss: white for 0, darker orange for more, grey for NaN. */
  function colour(loss) {
    if (Number.isNaN(loss)) return [224, 224, 224];
    const level = Math.round(Math.min(loss / DARKEST, 1) * (LEVELS - 1));
    if (level === 0) return [255, 255, 255];
    const place = (level / (LEVELS - 1)) * (ORANGES.length - 1);
    const below = Math.min(Math.floor(place), ORANGES.length - 2), [low, high] = ORANGES.slice(below, below + 2);
    return low.map((value, i) => Math.round(value + (place - below) * (high[i] - value)));
  }

  /** Black or white, whichever has the higher contrast on the background (WCAG 2). */
  function ink(background) {
    const shares = background.map((value) => value / 255);
    const linear = shares.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    const luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    return (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) ? "#000" : "#fff";
  }

  const style_of = (loss) => `background:rgb(${colour(loss)});color:${ink(colour(loss))}`;

  /** The mean loss in one line. */
  function summary(state) {
    if (Number.isNaN(state.loss)) return `${state.name}: nothing to predict`;
    return (
      `${state.name}: ${state.loss.toFixed(2)} nats = ${state.bits.toFixed(2)} bits per character, ` +
      `as ${state.perplexity.toFixed(1)} equal choices`
    );
  }

  /** What is told about a character. */
  function tooltip(character, loss) {
    if (Number.isNaN(loss)) return `${visible(character)}: not predicted`;
    return `${visible(character)}: ${loss.toFixed(2)} nats, p = ${general(Math.exp(-loss), 2)}`;
  }

  // --- models

  /**
   * A function from a text to the loss of each of its characters; the first loss is NaN. Windows overlap by half, so
   * that each character of a long text is predicted from at least half a window.
   */
  function losses_of_model({ model, tokenizer }) {
    const T = model.config.block_size, half = Math.floor(T / 2);
    const known = new Map(); // the losses of each window so far: while a text grows, its first windows stay

    return async function losses_of(text, signal) {
      const ids = tokenizer.encode(text), found = ids.map(() => NaN);
      for (let start = 0; start < ids.length - 1; start += half) {
        const part = ids.slice(start, start + T + 1), key = String(part);
        if (!known.has(key)) known.set(key, await window_losses(model, part, signal));
        const losses = known.get(key), first = start === 0 ? 0 : T - half; // earlier ones had more context before
        for (let i = first; i < losses.length; i++) found[start + 1 + i] = losses[i];
      }
      return found;
    };
  }

  /** -ln p of every token of a window but the first. */
  async function window_losses(model, ids, signal) {
    const x = await hidden_in_slices(model, ids.slice(0, -1), new KVCache(model.config.n_layer), signal);
    return model.lm_head.forward(x).map((logits, t) => -Math.log(softmax(Float64Array.from(logits))[ids[t + 1]]));
  }

  // --- the widget

  class Surprise extends Widget {
    /** `models` are pairs: what a reader chooses by, and a model's name with a function that loads its losses. */
    constructor(place, models, text) {
      super(place, "surprise");
      const anew = () => this.recompute();
      this.text = text_field("text", { value: text, on: anew, lines: 4 });
      this.model = choice("model", { value: models[0][1], options: models, on: anew });
      this.position = slider("character", { value: 1, min: 1, max: 1, on: () => this.tell(this.position.value - 1) });
      this.page = h("div", { class: "live-surprise-text" });
      this.page.addEventListener("pointerover", (event) => this.point(event));
      this.page.addEventListener("pointerdown", (event) => this.point(event));
      this.said = h("p");
      this.told = h("p", { class: "live-told", role: "status" });
      const numbers = Array.from({ length: DARKEST + 1 }, (_, n) => h("span", { style: style_of(n) }, n));
      const scale = h("p", { class: "live-scale" }, "nats: ", h("span", {}, numbers), " or more");
      this.show(this.text, row(this.model, this.position), this.message, this.said, this.page, this.told, scale);
      this.recompute();
    }

    async new_state(signal) {
      const text = this.text.value, model = this.model.value;
      if (!model.losses_of) this.say(`Loading ${model.name} …`);
      model.losses_of ??= await model.load();
      return compute(text, text ? await model.losses_of(text, signal) : [], model.name);
    }

    show_state() {
      const { state } = this;
      this.said.replaceChildren(h("b", {}, summary(state)));
      const span_of = (character, i) => h("span", { style: style_of(state.losses[i]) }, visible(character));
      this.spans = state.characters.map(span_of);
      const lines = this.spans.flatMap((span, i) => (state.characters[i] === "\n" ? [span, h("br")] : [span]));
      this.page.replaceChildren(...lines);
      this.position.max = this.spans.length;
      this.tell(Math.min(this.position.value, this.spans.length) - 1);
    }

    /** The pointer is over a character, or a finger on it. */
    point(event) {
      const place = this.spans.indexOf(event.target);
      if (place < 0) return;
      this.position.value = place + 1;
      this.tell(place);
    }

    /** Tell the loss of a character. */
    tell(place) {
      this.page.querySelector(".chosen")?.classList.remove("chosen");
      this.spans[place].classList.add("chosen");
      this.told.textContent = tooltip(this.state.characters[place], this.state.losses[place]);
    }
  }

  Live.surprise = { compute, summary, tooltip, colour, losses_of_model };
  /** What a reader chooses by, and how the losses are loaded: a table "5-gram", or a shipped model. */
  function offered(name) {
    const order = /^(\d+)-gram$/.exec(name)?.[1];
    if (order) return [name, { name, load: () => losses_of_ngram(Number(order)) }];
    return [MODELS[name], { name, load: async () => losses_of_model(await trained_model(name)) }];
  }

  Live.widgets.surprise = (place, { models = Object.keys(MODELS), text }) => {
    new Surprise(place, models.map(offered), text);
  };
}
