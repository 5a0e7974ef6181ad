"use strict";
// The playground: a model continues the reader's prompt, and its text appears while it is generated.
{
  const { Widget, Generator, h, row, button, slider, text_field, model_choice, trained_model, stream, ids_of_typed } = Live;
  const { temperature_slider, top_k_choice, seed_field } = Live;

  class Playground extends Widget {
    constructor(place, trained, { prompt, temperature }) {
      super(place, "playground");
      const anew = () => {}; // a setting counts from the next text on
      this.prompt = text_field("prompt", { value: prompt, enter: () => this.write() });
      this.model = model_choice(this, trained, () => this.write());
      this.temperature = temperature_slider(temperature, anew);
      this.top_k = top_k_choice(anew);
      this.length = slider("length", { value: 120, min: 20, max: 240, step: 20, on: anew });
      this.seed = seed_field(anew);
      this.button = button("Write", () => (this.writing ? this.stop() : this.write()), { class: "live-primary" });
      this.another = button("Another seed", () => {
        this.seed.value += 1;
        this.write();
      });
      this.given = h("b");
      this.continuation = h("span");
      this.page = h(
        "div",
        { class: "live-written", tabindex: "0", role: "region", "aria-label": "text of the model" },
        this.given, this.continuation,
      );
      this.progress = h("p", { class: "live-note", role: "status" });
      this.text = "";
      this.show(
        this.prompt, row(this.model, this.temperature, this.top_k, this.length, this.seed),
        h("div", { class: "live-buttons" }, this.button, this.another), this.message, this.page, this.progress,
      );
    }

    stop() {
      this.abort.abort();
    }

    /** Continue the prompt; a text that is still being written ends first. */
    write() {
      return this.recompute();
    }

    async attempt(signal) {
      if (signal.aborted) return;
      const { model, tokenizer } = this.model.trained;
      const prompt = this.prompt.value, length = this.length.value;
      const settings = {
        temperature: this.temperature.value,
        top_k: this.top_k.value,
        generator: new Generator(this.seed.value),
        signal,
      };
      this.text = "";
      this.writing = true;
      this.redraw_text(prompt, length);
      try {
        if (!prompt) throw new Error("the prompt is empty: give the model at least one character to go on from");
        this.say("");
        for await (const id of stream(model, ids_of_typed(tokenizer, prompt), length, settings)) {
          this.text += tokenizer.decode([id]);
          this.redraw_text(prompt, length);
        }
      } catch (error) {
        if (error.name !== "AbortError") this.say(error.message);
      }
      this.writing = false;
      this.redraw_text(prompt, length);
    }

    redraw_text(prompt, length) {
      this.given.textContent = prompt;
      this.continuation.textContent = this.text;
      this.page.classList.toggle("live-writing", this.writing);
      this.button.textContent = this.writing ? "Stop" : "Write";
      // said once at the end: a screen reader would read every step
      this.progress.textContent = this.writing ? "" : `${[...this.text].length} of ${length} characters written`;
    }
  }

  Live.widgets.playground = async (place, { model = "char-cpu", prompt = "ROMEO:", temperature = 0.8 }) => {
    const playground = new Playground(place, await trained_model(model), { prompt, temperature });
    playground.write();
  };
}
