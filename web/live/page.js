"use strict";
// Elements and controls of the widgets: native inputs, each with a name, for mouse, touch, keyboard, screen readers.
{
  const SVG = "http://www.w3.org/2000/svg";

  /** An element: h("p", { class: "note" }, "text", child). A function `on…` is a listener; false leaves out. */
  function h(tag, attributes = {}, ...children) {
    return fill(document.createElement(tag), attributes, children);
  }

  /** The same for SVG. */
  function svg(tag, attributes = {}, ...children) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
  }

  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.flat().filter((child) => child !== null && child !== false));
    return element;
  }

  let controls = 0; // numbers the controls of a page

  /** What a slider and the number beside it are to a widget: { element, value, max }. */
  function ranged(name, range, beside, write) {
    return {
      element: h("div", { class: "live-control" }, h("label", { for: range.id }, name), range, beside),
      get value() {
        return Number(range.value);
      },
      set value(next) {
        range.value = next;
        write();
      },
      get max() {
        return Number(range.max);
      },
      set max(next) {
        range.max = beside.max = next;
        write();
      },
    };
  }

  /** A slider with its name and value: { element, value, max }. `show` writes the value. */
  function slider(name, { value, min, max, step = 1, show = String, on }) {
    const id = `live-${controls++}`;
    const range = h("input", { type: "range", id, min, max, step, value });
    const shown = h("output", { for: id });
    const write = () => {
      shown.textContent = show(Number(range.value));
      range.setAttribute("aria-valuetext", shown.textContent);
    };
    range.addEventListener("input", () => {
      write();
      on();
    });
    write();
    return ranged(name, range, shown, write);
  }

  /** A slider over whole numbers, with a field to type one: { element, value, max }. */
  function slider_with_field(name, { value, min, max, on }) {
    const id = `live-${controls++}`, limits = { min, max, step: 1, value };
    const range = h("input", { type: "range", id, ...limits });
    const field = h("input", {
      type: "number", "aria-label": `${name} as a number`, inputmode: "numeric", ...limits,
    });
    const write = () => {
      if (field.value !== range.value) field.value = range.value;
    };
    range.addEventListener("input", () => {
      write();
      on();
    });
    field.addEventListener("input", () => {
      if (field.value === "") return; // the reader is about to type
      range.value = field.value; // the nearest number that there is
      on();
    });
    field.addEventListener("change", write);
    return ranged(name, range, field, write);
  }

  /** A field for a whole number. */
  function whole_number(name, { value, min, max, on }) {
    const id = `live-${controls++}`;
    const field = h("input", { type: "number", id, min, max, step: 1, value, inputmode: "numeric", oninput: on });
    return {
      element: h("div", { class: "live-control" }, h("label", { for: id }, name), field),
      get value() {
        return Math.min(max, Math.max(min, Math.round(Number(field.value)) || 0));
      },
      set value(next) {
        field.value = next;
      },
    };
  }

  /** A field for a text, in which \n stands for a line break. With several `lines` it shows line breaks as they are. */
  function text_field(name, { value, on = () => {}, enter = () => {}, lines = 1 }) {
    const id = `live-${controls++}`, shown = lines > 1 ? String : Live.typed;
    const field = h(lines > 1 ? "textarea" : "input", {
      type: lines > 1 ? null : "text", rows: lines > 1 ? lines : null, id,
      spellcheck: "false", autocapitalize: "none", autocomplete: "off",
      oninput: on,
      onkeydown: (event) => event.key === "Enter" && enter(),
    });
    const control = {
      element: h("div", { class: "live-control live-text" }, h("label", { for: id }, name), field),
      get value() {
        return Live.untyped(field.value);
      },
      set value(next) {
        field.value = shown(next);
      },
    };
    control.value = value;
    return control;
  }

  /** A choice; `options` are [words, value] pairs. */
  function choice(name, { value, options, on }) {
    const id = `live-${controls++}`;
    const select = h("select", { id, onchange: on });
    const control = {
      element: h("div", { class: "live-control" }, h("label", { for: id }, name), select),
      get value() {
        return control.options[select.selectedIndex][1];
      },
      set value(next) {
        select.selectedIndex = control.options.findIndex(([, known]) => known === next);
      },
      offer(next, chosen) {
        control.options = next;
        select.replaceChildren(...next.map(([words]) => h("option", {}, words)));
        control.value = chosen;
      },
    };
    control.offer(options, value);
    return control;
  }

  /** A box to tick. */
  function checkbox(name, { value = false, on }) {
    const id = `live-${controls++}`;
    const box = h("input", { type: "checkbox", id, checked: value, onchange: on });
    return {
      element: h("div", { class: "live-control live-check" }, box, h("label", { for: id }, name)),
      get value() {
        return box.checked;
      },
      set value(next) {
        box.checked = next;
      },
    };
  }

  function button(words, on, attributes = {}) {
    return h("button", { type: "button", onclick: on, ...attributes }, words);
  }

  /** Controls side by side, on several lines where the page is narrow. */
  function row(...parts) {
    return h("div", { class: "live-row" }, parts.map((part) => part.element ?? part));
  }

  // Controls that several widgets have.
  const temperature_slider = (value, on) =>
    slider("temperature", { value, min: 0, max: 2, step: 0.1, show: (t) => t.toFixed(1), on });
  const TOP_K = [["all", null], ...[1, 2, 3, 5, 10, 20, 40].map((k) => [String(k), k])];
  const top_k_choice = (on) => choice("top-k", { value: null, options: TOP_K, on });
  const seed_field = (on) => whole_number("seed", { value: 1, min: 0, max: 2 ** 31 - 1, on });

  Object.assign(Live, { h, svg, slider, slider_with_field, whole_number, text_field, choice, checkbox, button, row });
  Object.assign(Live, { temperature_slider, top_k_choice, seed_field });
}
