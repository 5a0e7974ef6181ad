"use strict";
// What all widgets do: controls, a message line, and what the state looks like, from top to bottom.
{
  const { h, choice, trained_model } = Live;

  /** A subclass defines `async new_state(signal)`, from the values of its controls, and `show_state()`. */
  class Widget {
    constructor(place, kind) {
      this.place = place; // the element that holds the static figure until the widget is ready
      this.message = h("p", { class: "live-message", role: "status", hidden: true });
      this.frame = h("div", { class: `live-widget live-${kind}` });
      this.state = null;
      this.error = "";
      this.waiting = Promise.resolve();
      this.abort = new AbortController();
      place.widget = this;
    }

    /** Put the widget into the place of the static figure, below the note that the page has for it. */
    show(...parts) {
      const { note } = JSON.parse(this.place.dataset.options || "{}");
      const above = note ? [h("p", { class: "live-note" }, note)] : [];
      this.frame.replaceChildren(...above, ...parts.map((part) => part.element ?? part));
      this.place.replaceChildren(this.frame);
    }

    /** Compute the state anew and show it. What an older call still computes is dropped at its next pause. */
    recompute() {
      this.abort.abort();
      const { signal } = (this.abort = new AbortController());
      this.waiting = this.waiting.then(() => this.attempt(signal));
      return this.waiting;
    }

    /** Show the state that `new_state` returns; if it throws, show the error and keep the last state. */
    async attempt(signal) {
      if (signal.aborted) return;
      this.frame.setAttribute("aria-busy", "true");
      try {
        const state = await this.new_state(signal);
        if (signal.aborted) return;
        this.state = state;
        this.error = "";
      } catch (error) {
        if (error.name === "AbortError") return;
        this.error = error.message + (this.state ? ". Below is still the last input that worked." : "");
      }
      this.redraw();
    }

    /** Show the message and the state. */
    redraw() {
      this.frame.setAttribute("aria-busy", "false");
      this.say([this.error, ...(this.state?.notes ?? [])].filter(Boolean).join(" "));
      if (this.state) this.show_state();
    }

    say(text) {
      if (this.message.textContent !== text) this.message.textContent = text;
      this.message.hidden = text === "";
    }
  }

  // The shipped models: the name, and what a reader chooses by, with the size of a large script.
  const MODELS = {
    "char-cpu": "small: 3 layers",
    "char-gpu-best": "large: 6 layers (14 MB)",
  };

  /** A choice of the shipped model. `on` is called when another one is loaded; `model.trained` is the loaded one. */
  function model_choice(widget, trained, on) {
    const options = Object.entries(MODELS).map(([name, words]) => [words, name]);
    const control = choice("model", {
      value: trained.name,
      options,
      on: async () => {
        const name = control.value;
        widget.say(`Loading ${name} …`);
        try {
          const loaded = await trained_model(name);
          if (control.value !== name) return; // another choice meanwhile
          control.trained = loaded;
          widget.say("");
          on();
        } catch (error) {
          control.value = control.trained.name;
          widget.say(`${error.message}: ${control.trained.name} stays. Choose again to try again.`);
        }
      },
    });
    control.trained = trained;
    return control;
  }

  Object.assign(Live, { Widget, model_choice, MODELS });
}
