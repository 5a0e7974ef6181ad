"use strict";
// The stages of attention: how one query comes to its weight for one key, with the numbers of a head.
{
  const { h, button, checkbox, softmax, weighted_sum, dot, sum, max, visible, number, general } = Live;

  const STAGES = ["q · k", "scale", "mask", "softmax", "values"];

  // --- compute

  /** A state for each of STAGES, for one head: q, k and v are [T, head_size], `query` and `key` positions. */
  function compute(tokens, q, k, v, query, key, causal = true) {
    const cell = attend(tokens.map(visible), q, k, v, query, key, causal);
    return [product(cell), scaled(cell), masked(cell), softmaxed(cell), fetched(cell)];
  }

  /** The attention of one query. */
  function attend(tokens, q, k, v, query, key, causal) {
    const dots = k.map((key) => dot(q[query], key));
    const scores = dots.map((product) => product / Math.sqrt(q[0].length));
    const masked = scores.map((score, s) => (causal && s > query ? -Infinity : score));
    const powers = masked.map((score) => Math.exp(score - max(masked)));
    return {
      tokens, query, key, causal, v, dots, scores, masked, powers,
      q: Array.from(q[query]),
      k: Array.from(k[key]),
      weights: softmax(masked),
      asked: `query ${query} (${tokens[query]})`,
      seen: `key ${key} (${tokens[key]})`,
    };
  }

  /** A stage with a row for each key; the last of its columns is what the stage computes. */
  function by_key(cell, name, formula, words, columns) {
    return { name, formula, words, rows: cell.tokens, columns, of_keys: true, marked: cell.key };
  }

  /** A stage with a row for each number of the vectors. */
  function by_number(name, formula, words, columns) {
    const rows = Object.values(columns)[0].map((_, i) => String(i));
    return { name, formula, words, rows, columns, of_keys: false, marked: null };
  }

  /** The dot product of the query and the key. */
  function product(cell) {
    const formula = `q · k = sum of ${cell.q.length} products = ${number(cell.dots[cell.key])}`;
    const words = `The query vector of ${cell.asked} times the key vector of ${cell.seen}, number by number.`;
    const products = cell.q.map((value, i) => value * cell.k[i]);
    return by_number(STAGES[0], formula, words, { q: cell.q, k: cell.k, "q times k": products });
  }

  /** The dot products divided by √head_size. */
  function scaled(cell) {
    const n = cell.q.length, product = number(cell.dots[cell.key]);
    const root = general(Math.sqrt(n), 3);
    const formula = `${product} / √${n} = ${product} / ${root} = ${number(cell.scores[cell.key])}`;
    const words = `The same for every key, divided by the root of head_size: the scores of ${cell.asked}.`;
    return by_key(cell, STAGES[1], formula, words, { "q · k": cell.dots, score: cell.scores });
  }

  /** The scores of later keys become -Infinity. */
  function masked(cell) {
    const score = number(cell.scores[cell.key]);
    let words = "A query must not see what comes after it: those scores become −∞, and e to that power is 0.";
    let formula = `${cell.seen} does not come after ${cell.asked}: ${score} stays`;
    if (!cell.causal) {
      formula = `no mask: ${score} stays`;
      words = "The mask is off: every key keeps its score.";
    } else if (cell.key > cell.query) {
      formula = `${cell.seen} comes after ${cell.asked}: ${score} becomes −∞`;
    }
    return by_key(cell, STAGES[2], formula, words, { score: cell.scores, "after the mask": cell.masked });
  }

  /** The weights of all keys. */
  function softmaxed(cell) {
    const largest = max(cell.masked), total = number(sum(cell.powers));
    const less = cell.masked.map((score) => score - largest);
    const formula =
      `e^(${minus(cell.masked[cell.key], largest)}) / ${total} = ` +
      `${number(cell.powers[cell.key])} / ${total} = ${number(cell.weights[cell.key])}`;
    const words = "e to the power of each score less the largest one, divided by their sum: weights that sum to 1.";
    const columns = { "score − largest": less, "e to that power": cell.powers, weight: cell.weights };
    return by_key(cell, STAGES[3], formula, words, columns);
  }

  /** The sum of the values with these weights. */
  function fetched(cell) {
    const weight = cell.weights[cell.key], value = Array.from(cell.v[cell.key]);
    const formula = `output = sum over all keys of weight · v; ${cell.seen} gives ${number(weight)} · v`;
    const words = `The value vectors, added up with the weights: what the head puts out for ${cell.asked}.`;
    return by_number(STAGES[4], formula, words, {
      [`v of ${cell.seen}`]: value,
      "weight · v": value.map((x) => weight * x),
      output: Array.from(weighted_sum([cell.weights], cell.v)[0]),
    });
  }

  /** a − b in words: "1.54 − 2.10", and "1.54 + 2.10" for a negative b. */
  const minus = (a, b) => `${number(a)} ${b >= 0 ? "−" : "+"} ${number(Math.abs(b))}`;

  // --- the page

  const BAR = 46; // pixels: how high a strip's largest number is drawn
  const SECONDS = 2.6; // for each stage, while they play

  /** The stages of the cell that `show_cell` was given, one at a time; `play` goes through them. */
  class AttentionStages {
    constructor() {
      this.stage = 1;
      this.tabs = STAGES.map((name, i) => button(name, () => this.go(i + 1)));
      this.previous = button("Previous stage", () => this.go(this.stage - 1));
      this.next = button("Next stage", () => this.go(this.stage + 1));
      this.player = button("Play", () => (this.timer ? this.pause() : this.play()), { class: "live-primary" });
      this.all_numbers = checkbox("all numbers", { on: () => this.redraw() });
      this.formula = h("p", { class: "live-formula", role: "status" });
      this.words = h("p");
      this.strips = h("div", { class: "live-strips" });
      this.table = h("div", { class: "live-scroll", tabindex: "0", role: "region", "aria-label": "all numbers" });
      this.element = h(
        "div", { class: "live-stages" },
        h("div", { class: "live-path", role: "group", "aria-label": "stage" }, this.tabs),
        this.formula, this.words, this.strips,
        h("div", { class: "live-buttons" }, this.player, this.previous, this.next, this.all_numbers.element),
        this.table,
      );
    }

    /** Show the stages of a cell, given as the arguments of `compute`. */
    show_cell(...cell) {
      this.state = compute(...cell);
      this.redraw();
    }

    /** Go to a stage; what plays ends. */
    go(stage) {
      this.pause();
      this.stage = Math.min(Math.max(stage, 1), STAGES.length);
      this.redraw();
    }

    /** Begin with the first stage at the next `show_cell`; what plays ends. */
    rewind() {
      this.pause();
      this.stage = 1;
    }

    /** One stage after the other, from the first. */
    play() {
      this.go(1);
      this.timer = setInterval(() => {
        if (this.stage === STAGES.length || !this.element.isConnected) return this.pause();
        this.stage += 1;
        this.redraw();
      }, 1000 * SECONDS);
      this.player.textContent = "Pause";
    }

    pause() {
      clearInterval(this.timer);
      this.timer = null;
      this.player.textContent = "Play";
    }

    redraw() {
      const stage = this.state[this.stage - 1], columns = Object.entries(stage.columns);
      this.tabs.forEach((tab, i) => tab.setAttribute("aria-current", i + 1 === this.stage ? "step" : "false"));
      this.previous.disabled = this.stage === 1;
      this.next.disabled = this.stage === STAGES.length;
      this.formula.textContent = stage.formula;
      this.words.textContent = stage.words;
      const strips = columns.map(([name, values], i) => strip(stage, name, values, i === columns.length - 1));
      this.strips.style.setProperty("--n", stage.rows.length);
      this.strips.classList.toggle("live-many", stage.rows.length > 32);
      this.strips.replaceChildren(...strips, ...(stage.of_keys ? [labels(stage)] : []));
      this.table.hidden = !this.all_numbers.value;
      this.table.replaceChildren(...(this.all_numbers.value ? [table(stage)] : []));
    }
  }

  /** The numbers of a column as bars around a line, each with its number as a tooltip. */
  function strip(stage, name, values, is_new) {
    const finite = Array.from(values).filter(Number.isFinite);
    const low = Math.min(0, ...finite), high = Math.max(0, ...finite), span = high - low || 1;
    const zero = Math.round((BAR * high) / span);
    const bars = Array.from(values, (value, i) => {
      const title = `${stage.of_keys ? `key ${i} (${stage.rows[i]})` : `number ${i}`}: ${number(value)}`;
      const kind = i === stage.marked ? "marked" : "";
      if (value === -Infinity) return h("span", { class: `${kind} masked`, title });
      const height = Math.max(1, Math.round((BAR * Math.abs(value)) / span));
      const [top, origin] = value > 0 ? [zero - height, height] : [zero, 0]; // a bar grows from the line
      const style = `top:${top}px;height:${height}px;transform-origin:0 ${origin}px`;
      return h("span", { class: kind, title }, h("i", { style }));
    });
    const largest = finite.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
    const alt = `${name}: ${values.length} numbers, the largest in size ${number(largest)}`;
    return h(
      "div", { class: `live-strip${is_new ? " new" : ""}` },
      h("b", {}, name), h("div", { class: "bars", role: "img", "aria-label": alt, style: `--zero:${zero}px` }, bars),
    );
  }

  /** What stands below the bars: the tokens of the keys. */
  function labels(stage) {
    const short = (label) => [...label].slice(0, 2).join("");
    const spans = stage.rows.map((label, i) => h("span", { class: i === stage.marked ? "marked" : "" }, short(label)));
    return h("div", { class: "live-strip", "aria-hidden": "true" }, h("b"), h("div", { class: "names" }, spans));
  }

  /** All numbers of the stage. */
  function table(stage) {
    const columns = Object.entries(stage.columns);
    const head = [stage.of_keys ? "key" : "number", ...columns.map(([name]) => name)];
    const rows = stage.rows.map((label, i) =>
      h(
        "tr", { class: i === stage.marked ? "marked" : "" },
        h("th", { scope: "row" }, stage.of_keys ? `${i} ${label}` : label),
        columns.map(([, values]) => h("td", {}, number(values[i]))),
      ),
    );
    const names = head.map((name) => h("th", { scope: "col" }, name));
    return h("table", {}, h("thead", {}, h("tr", {}, names)), h("tbody", {}, rows));
  }

  Live.attention_stages = { compute };
  Object.assign(Live, { AttentionStages });
}
