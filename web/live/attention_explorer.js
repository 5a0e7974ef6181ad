"use strict";
// The attention explorer: which keys each query looks at, in every head, for a prompt that the reader edits. A head's
// tile is a button; a cell of the chosen head's matrix shows the stages that lead to its weight.
{
  const { Widget, AttentionStages, h, row, slider_with_field, choice, text_field, checkbox } = Live;
  const { model_choice, trained_model, attention_weights, causal_mask, softmax, sum, argmax } = Live;
  const { ids_of_typed, visible, rgb, pause } = Live;

  const MAX_TOKENS = 64;
  // matplotlib's colour map cividis, from dark (0) to bright (1)
  const CIVIDIS = (
    "00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78 " +
    "8c8878 9b9476 aba072 bcae6c cdbb63 dec958 f0d846 fee838"
  ).split(" ").map(rgb);

  // --- compute

  /** Mean over queries of -Σ w log₂ w. n equal weights have log₂ n bits. */
  function entropy_in_bits(weights) {
    return sum(weights.map((row) => sum(Array.from(row, (w) => (w > 0 ? -w * Math.log2(w) : 0))))) / weights.length;
  }

  /** Mean over queries t of Σ w |t - s|, in tokens. */
  function mean_distance(weights) {
    return sum(weights.map((row, t) => sum(Array.from(row, (w, s) => w * Math.abs(t - s))))) / weights.length;
  }

  /** What the explorer shows of heads' queries, keys and values, each [n_layer][n_head][T][head_size]. */
  function compute(tokens, [q, k, v], causal = true) {
    const T = q[0][0].length, mask = causal_mask(T), notes = [];
    const weights = q.map((layer, l) =>
      layer.map((query, head) => attention_weights(query, k[l][head], causal ? mask : null)),
    );
    const uniform = mask.map((row) => softmax(row.map((allowed) => (allowed || !causal ? 0 : -Infinity))));
    if (tokens.length > T) notes.push(`The prompt has ${tokens.length} tokens; the first ${T} are shown.`);
    if (!causal) {
      notes.push("The mask is off: each query sees the whole prompt, which the model was never trained for.");
    }
    return {
      tokens: tokens.slice(0, T),
      vectors: [q, k, v],
      weights, // [n_layer][n_head][T][T]
      uniform, // [T][T]: equal weights for all allowed keys, 0 for the others
      entropy: weights.map((layer) => layer.map(entropy_in_bits)), // [n_layer][n_head], bits
      distance: weights.map((layer) => layer.map(mean_distance)), // [n_layer][n_head], tokens
      uniform_entropy: entropy_in_bits(uniform),
      uniform_distance: mean_distance(uniform),
      notes,
      causal,
    };
  }

  /**
   * Brightness from 0 to 1 for a weight, NaN where the mask hides the key. It is the root of the weight, which
   * separates small weights from 0. Against uniform it is 1/2 for the uniform weight and 1/6 more for each doubling.
   */
  function shade(weight, uniform, against_uniform) {
    if (uniform === 0 && weight === 0) return NaN;
    const brightness = against_uniform ? 0.5 + Math.log2(weight / uniform) / 6 : Math.sqrt(weight);
    return Math.min(Math.max(brightness, 0), 1);
  }

  const WEIGHT_MARKS = [0, 0.01, 0.05, 0.2, 0.5, 1].map((w) => [Math.sqrt(w), `${Math.round(100 * w)} %`]);
  const RATIO_MARKS = ["1/8", "1/4", "1/2", "1", "2", "4", "8"].map((ratio, i) => [i / 6, `${ratio} ×`]);

  /** The chosen cell in words. */
  function told(state, layer, head, t, s) {
    const words = `query ${t} (${visible(state.tokens[t])}), key ${s} (${visible(state.tokens[s])}): `;
    const weight = state.weights[layer][head][t][s], uniform = state.uniform[t][s];
    if (uniform === 0 && weight === 0) return `${words}masked, because the key comes after the query`;
    return `${words}weight ${(100 * weight).toFixed(1)} %, ${(weight / uniform).toFixed(1)} times uniform`;
  }

  // --- a model's queries, keys and values

  /** For a trained GPT: a text's tokens, and each layer's queries, keys and values of the first MAX_TOKENS. */
  async function vectors_of_model({ model, tokenizer }, text, signal) {
    const ids = ids_of_typed(tokenizer, text);
    const found = [[], [], []];
    let x = model.embed(ids.slice(0, MAX_TOKENS));
    for (const block of model.h) {
      await pause(signal);
      block.attn.split_heads(block.ln_1.forward(x)).forEach((part, i) => found[i].push(part));
      await pause(signal);
      x = block.forward(x);
    }
    return [ids.map((id) => tokenizer.decode([id])), found];
  }

  // --- pictures

  /** The colour of a shade: red, green, blue. */
  function cividis(shade) {
    const place = shade * (CIVIDIS.length - 1), below = Math.min(Math.floor(place), CIVIDIS.length - 2);
    return CIVIDIS[below].map((low, i) => low + (place - below) * (CIVIDIS[below + 1][i] - low));
  }

  /** Paint a head: a pixel for each query (row) and key (column), transparent where the mask hides the key. */
  function paint(canvas, weights, uniform, against_uniform) {
    const T = weights.length, context = canvas.getContext("2d");
    canvas.width = canvas.height = T;
    const image = context.createImageData(T, T);
    weights.forEach((row, t) =>
      row.forEach((weight, s) => {
        const brightness = shade(weight, uniform[t][s], against_uniform);
        if (!Number.isNaN(brightness)) image.data.set([...cividis(brightness), 255], 4 * (t * T + s));
      }),
    );
    context.putImageData(image, 0, 0);
  }

  // --- the widget

  class AttentionExplorer extends Widget {
    /** `vectors_of(text, signal)` gives tokens, and queries, keys, values [n_layer][n_head][T][head_size]. */
    constructor(place, prompt, trained, vectors_of) {
      super(place, "attention");
      const anew = () => this.recompute(), redraw = () => this.redraw(), another_head = () => this.follow();
      this.chosen = { query: null, key: null }; // null: the last query, and the key with the largest weight
      this.vectors_of = vectors_of ?? ((text, signal) => vectors_of_model(this.model.trained, text, signal));
      this.prompt = text_field("prompt", { value: prompt, on: anew });
      this.model = trained && model_choice(this, trained, () => {
        this.chosen.key = null;
        anew();
      });
      this.layer = choice("layer", { value: 0, options: [["0", 0]], on: another_head });
      this.head = choice("head", { value: 0, options: [["0", 0]], on: another_head });
      const ways = [["weights", false], ["weights ÷ uniform", true]];
      this.show_as = choice("show", { value: false, options: ways, on: redraw });
      this.mask = checkbox("causal mask", { value: true, on: anew });
      const only = { value: 0, min: 0, max: 0 };
      this.query = slider_with_field("query (row)", { ...only, on: () => this.choose_row() });
      this.key = slider_with_field("key (column)", {
        ...only, on: () => this.choose_cell(this.query.value, this.key.value),
      });
      this.stages = new AttentionStages();
      this.lay_out();
      this.recompute();
    }

    lay_out() {
      this.tiles = h("div", { class: "live-tiles", role: "group", "aria-label": "heads" });
      this.tokens = h("div", {
        class: "live-chosen-tokens", role: "group", "aria-label": "tokens: choose the query",
        onkeydown: (event) => this.step_query(event),
        onpointerover: (event) => this.look(this.chips.indexOf(event.target.closest("button"))),
        onpointerleave: () => this.look(-1),
      });
      this.statistics = h("table", { class: "live-statistics" });
      this.canvas = h("canvas", { role: "img" });
      this.canvas.addEventListener("pointermove", (event) => this.point(event));
      this.canvas.addEventListener("pointerleave", () => this.look(-1));
      this.canvas.addEventListener("click", (event) => this.choose_cell(...this.cell_at(event)));
      this.keys = h("div", { class: "keys", "aria-hidden": "true" });
      this.queries = h("div", { class: "queries", "aria-hidden": "true" });
      this.frame_of_cell = h("i", { class: "cell" });
      this.frame_of_row = h("i", { class: "row", hidden: true });
      this.scale = h("div", { class: "live-colours", "aria-hidden": "true" });
      this.title = h("b");
      this.told = h("p", { class: "live-told", role: "status" });
      const plane = h("div", { class: "plane" }, this.canvas, this.frame_of_row, this.frame_of_cell);
      this.matrix = h("div", { class: "live-matrix" }, this.keys, this.queries, plane);
      const head = [this.layer, this.head, this.show_as, this.mask];
      this.show(
        this.prompt, row(...(this.model ? [this.model] : []), ...head), this.message, this.tokens,
        h(
          "div", { class: "live-pictures" },
          h("div", {}, this.tiles, this.statistics),
          h("div", {}, h("p", {}, this.title), this.matrix, this.scale),
        ),
        row(this.query, this.key), this.told, this.stages,
      );
    }

    async new_state(signal) {
      const text = this.prompt.value;
      if (!text) throw new Error("the prompt is empty: write something to look at");
      const [tokens, vectors] = await this.vectors_of(text, signal);
      await pause(signal);
      const state = compute(tokens, vectors, this.mask.value);
      this.adapt(state);
      return state;
    }

    /** Let the controls offer what there is: layers and heads. */
    adapt(state) {
      const n_layer = state.weights.length, n_head = state.weights[0].length;
      for (const [control, n] of [[this.layer, n_layer], [this.head, n_head]]) {
        const options = Array.from({ length: n }, (_, i) => [String(i), i]);
        control.offer(options, control.value < n ? control.value : 0);
      }
      if (n_layer !== this.state?.weights.length || n_head !== this.state?.weights[0].length) {
        this.lay_tiles(n_layer, n_head);
      }
    }

    /** A button for each head; none for a single head. */
    lay_tiles(n_layer, n_head) {
      const single = n_layer * n_head === 1;
      for (const part of [this.tiles, this.layer.element, this.head.element]) part.hidden = single;
      this.tiles.style.setProperty("--heads", n_head);
      this.pictures = [];
      const names = Array.from({ length: n_head }, (_, j) => h("span", {}, j));
      this.tiles.replaceChildren(h("span", {}, "head"), ...names);
      for (let i = 0; i < n_layer; i++) {
        this.tiles.append(h("span", {}, i ? i : "layer 0"));
        for (let j = 0; j < n_head; j++) {
          const canvas = h("canvas");
          const named = { type: "button", "aria-label": `layer ${i}, head ${j}` };
          const tile = h("button", { ...named, onclick: () => this.choose(i, j) }, canvas);
          this.pictures.push({ tile, canvas, i, j });
          this.tiles.append(tile);
        }
      }
    }

    /** Show this head. */
    choose(layer, head) {
      this.layer.value = layer;
      this.head.value = head;
      this.follow();
    }

    /** Show the key with the largest weight, of this query or of the one that is chosen. */
    follow(query = this.chosen.query) {
      this.chosen = { query, key: null };
      this.redraw();
    }

    /** Show the query of the slider; a key that the reader chose stays. */
    choose_row() {
      this.chosen.query = this.query.value;
      this.redraw();
    }

    /** Show how this query comes to its weight for this key, from the first stage on. */
    choose_cell(query, key) {
      this.chosen = { query, key };
      this.stages.rewind();
      this.redraw();
    }

    /** Set query and key to what is chosen, or the nearest that the prompt has. */
    place_cell() {
      const { tokens, weights } = this.state, last = tokens.length - 1;
      this.query.max = this.key.max = last;
      this.query.value = this.chosen.query ?? last;
      const of_keys = weights[this.layer.value][this.head.value][this.query.value];
      this.key.value = this.chosen.key ?? argmax(of_keys);
    }

    /** The query and key below the pointer. */
    cell_at(event) {
      const T = this.state.tokens.length, place = this.canvas.getBoundingClientRect();
      const at = (offset, side) => Math.min(Math.max(Math.floor((T * offset) / side), 0), T - 1);
      return [at(event.clientY - place.top, place.height), at(event.clientX - place.left, place.width)];
    }

    point(event) {
      const [t, s] = this.cell_at(event);
      this.look(t);
      this.told.textContent = told(this.state, this.layer.value, this.head.value, t, s);
    }

    /** Shade the keys of this query while the pointer is on it; -1 is the chosen query again. */
    look(t) {
      this.shade_keys(t < 0 ? this.query.value : t);
      this.frame_of_row.hidden = t < 0;
      this.frame_of_row.style.top = `${(100 * t) / this.state.tokens.length}%`;
      if (t < 0) this.tell();
    }

    /** The arrow keys on a token go to its neighbours. */
    step_query(event) {
      const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      this.follow(Math.min(Math.max(this.query.value + by, 0), this.chips.length - 1));
      this.chips[this.query.value].focus();
    }

    tell() {
      this.told.textContent = told(this.state, this.layer.value, this.head.value, this.query.value, this.key.value);
    }

    show_state() {
      this.place_cell();
      const { state } = this, layer = this.layer.value, head = this.head.value, T = state.tokens.length;
      const against = this.show_as.value, weights = state.weights[layer][head];
      for (const { tile, canvas, i, j } of this.pictures) {
        paint(canvas, state.weights[i][j], state.uniform, against);
        tile.setAttribute("aria-pressed", i === layer && j === head);
      }
      paint(this.canvas, weights, state.uniform, against);
      const quantity = against ? "weight ÷ uniform weight" : "weight of each key";
      this.title.textContent = `Layer ${layer}, head ${head}: ${quantity}`;
      this.canvas.setAttribute("aria-label", this.alt(weights));
      this.matrix.style.setProperty("--n", T);
      this.matrix.classList.toggle("live-many", T > 32);
      this.matrix.classList.toggle("upright", state.tokens.every((token) => visible(token).length < 2));
      for (const [labels, chosen] of [[this.keys, this.key.value], [this.queries, this.query.value]]) {
        const named = (token, i) => h("span", { class: i === chosen ? "chosen" : "" }, visible(token));
        labels.replaceChildren(...state.tokens.map(named));
      }
      const [top, left] = [this.query.value, this.key.value].map((place) => `${(100 * place) / T}%`);
      Object.assign(this.frame_of_cell.style, { top, left });
      this.show_tokens();
      this.show_statistics(layer, head);
      this.show_scale(against ? RATIO_MARKS : WEIGHT_MARKS);
      this.look(-1);
      const vectors = state.vectors.map((part) => part[layer][head]);
      this.stages.show_cell(state.tokens, ...vectors, this.query.value, this.key.value, state.causal);
    }

    /** What the matrix shows, in words. */
    alt(weights) {
      const label = (i) => visible(this.state.tokens[i]);
      const keys = weights.map((row, t) => `${label(t)} at ${label(row.indexOf(Math.max(...row)))}`);
      return `${this.title.textContent}, a row for each query. Each looks most at: ${keys.join(", ")}`;
    }

    show_tokens() {
      if (this.chips?.length !== this.state.tokens.length) {
        this.chips = this.state.tokens.map((_, i) =>
          h("button", { type: "button", onclick: () => this.follow(i) }, h("b"), h("small")),
        );
        this.tokens.replaceChildren(...this.chips);
      }
      this.chips.forEach((chip, i) => {
        chip.firstChild.textContent = visible(this.state.tokens[i]);
        chip.tabIndex = i === this.query.value ? 0 : -1; // one stop of the Tab key; the arrow keys go on
        chip.setAttribute("aria-pressed", i === this.query.value);
      });
    }

    /** The tokens' backgrounds: the weights of this query. */
    shade_keys(t) {
      const against = this.show_as.value, { uniform, weights } = this.state;
      weights[this.layer.value][this.head.value][t].forEach((weight, s) => {
        const brightness = shade(weight, uniform[t][s], against), chip = this.chips[s];
        chip.style.setProperty("--shade", Number.isNaN(brightness) ? 0 : brightness.toFixed(2));
        const ratio = uniform[t][s] ? `${(weight / uniform[t][s]).toFixed(1)}×` : "";
        const share = weight >= 0.005 ? `${Math.round(100 * weight)}%` : "";
        chip.lastChild.textContent = (against ? ratio : share) || "\u00a0";
      });
    }

    show_statistics(layer, head) {
      const { entropy, distance, uniform_entropy, uniform_distance } = this.state;
      const head_of = (name) => h("th", { scope: "col" }, name);
      const names = [`Layer ${layer}, head ${head}`, "this head", "uniform"].map(head_of);
      const line = (name, ...values) =>
        h("tr", {}, h("th", { scope: "row" }, name), values.map((value) => h("td", {}, value.toFixed(2))));
      this.statistics.replaceChildren(
        h("thead", {}, h("tr", {}, names)),
        h(
          "tbody", {},
          line("mean entropy (bits)", entropy[layer][head], uniform_entropy),
          line("mean distance (tokens)", distance[layer][head], uniform_distance),
        ),
      );
    }

    show_scale(marks) {
      const colours = CIVIDIS.map((colour) => `rgb(${colour})`).join(",");
      this.scale.replaceChildren(
        h("i", { style: `background:linear-gradient(to right,${colours})` }),
        ...marks.map(([at, label]) => h("span", { style: `left:${100 * at}%` }, label)),
      );
    }
  }

  Object.assign(Live, { AttentionExplorer });
  Live.attention_explorer = { compute, shade, told, vectors_of_model };
  Live.widgets.attention = async (place, { model = "char-cpu", prompt }) => {
    new AttentionExplorer(place, prompt, await trained_model(model));
  };
}
