"use strict";
// The softmax playground: a few scores, a temperature, and the probabilities that follow from them.
{
  const { Widget, h, row, slider, choice, softmax, sum, visible, signed } = Live;

  // --- compute

  /** Softmax of logits / temperature, and its loss, entropy, and gradient with respect to logits / temperature. */
  function compute(labels, logits, temperature = 1, target = 0) {
    if (!(temperature > 0 && temperature < Infinity)) throw new Error(`temperature=${temperature} must be above 0`);
    const probabilities = Array.from(softmax(logits.map((logit) => logit / temperature)));
    const largest = Math.max(...logits);
    const log_total = Math.log(sum(logits.map((logit) => Math.exp((logit - largest) / temperature))));
    const log_p = logits.map((logit) => (logit - largest) / temperature - log_total);
    const entropy = -sum(probabilities.map((p, i) => (p > 0 ? p * log_p[i] : 0))) + 0;
    return {
      labels, logits, temperature, target, probabilities,
      gradient: probabilities.map((p, i) => p - (i === target ? 1 : 0)), // p - y
      loss: -log_p[target] + 0, // -ln p of the target, nats; + 0 turns -0 into 0
      entropy, // nats
      choices: Math.exp(entropy), // the number of equally likely labels with this entropy
    };
  }

  /** Entropy and loss in one line. */
  function summary(state) {
    return (
      `entropy ${state.entropy.toFixed(2)} nats, as ${state.choices.toFixed(1)} equal choices; ` +
      `loss of ${visible(state.labels[state.target])} ${state.loss.toFixed(2)} nats`
    );
  }

  // --- the widget

  class SoftmaxPlayground extends Widget {
    constructor(place, { labels, logits, target }) {
      super(place, "softmax");
      const on = () => this.recompute();
      this.labels = labels;
      this.scores = logits.map((logit, i) =>
        slider(`score of ${visible(labels[i])}`, {
          value: logit, min: Math.min(-6, logit), max: Math.max(6, logit), step: 0.1, show: (x) => signed(x, 1), on,
        }),
      );
      const show = (t) => t.toFixed(1);
      this.temperature = slider("temperature", { value: 1, min: 0.1, max: 5, step: 0.1, show, on });
      const options = labels.map((label, i) => [visible(label), i]);
      this.target = choice("what comes", { value: target, options, on });
      this.rows = labels.map((label) => row_of(label));
      const columns = ["token", "score ÷ T", "probability p", "gradient p − y"];
      const names = columns.map((name) => h("th", { scope: "col" }, name));
      this.table = h(
        "table", { class: "live-softmax-rows" },
        h("thead", {}, h("tr", {}, names)), h("tbody", {}, this.rows.map((row) => row.element)),
      );
      this.note = h("p", { role: "status" });
      this.show(row(...this.scores, this.temperature, this.target), this.message, this.table, this.note);
      this.recompute();
    }

    new_state() {
      const scores = this.scores.map((score) => score.value);
      return compute(this.labels, scores, this.temperature.value, this.target.value);
    }

    show_state() {
      this.rows.forEach((row, i) => row.show(this.state, i));
      this.note.textContent = summary(this.state);
    }
  }

  /** A token's row: its score, its probability as a bar, its gradient as a bar to the left or right of 0. */
  function row_of(label) {
    const score = h("td"), p_bar = h("i"), p_words = h("span"), g_bar = h("i"), g_words = h("span");
    const element = h(
      "tr", {},
      h("th", { scope: "row" }, visible(label)), score,
      h("td", { class: "p" }, h("span", { class: "track" }, p_bar), p_words),
      h("td", { class: "g" }, h("span", { class: "track" }, g_bar), g_words),
    );
    return {
      element,
      show(state, i) {
        const p = state.probabilities[i], gradient = state.gradient[i];
        element.classList.toggle("target", i === state.target);
        score.textContent = signed(state.logits[i] / state.temperature);
        p_bar.style.width = `${100 * p}%`;
        p_words.textContent = `${(100 * p).toFixed(1)} %`;
        g_bar.style.left = `${50 + 50 * Math.min(gradient, 0)}%`;
        g_bar.style.width = `${50 * Math.abs(gradient)}%`;
        g_words.textContent = signed(gradient);
      },
    };
  }

  Live.softmax_playground = { compute, summary };
  Live.widgets.softmax = (place, options) => new SoftmaxPlayground(place, options);
}
