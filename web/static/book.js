// What the pages do by themselves: progress, definitions on hover and focus, guesses. No page needs it to be read.
"use strict";

(() => {
  const make = (name, className, text = "") => {
    const element = document.createElement(name);
    element.className = className;
    element.textContent = text;
    return element;
  };

  // --- how much of the page has been read
  const progress = document.body.appendChild(make("div", "progress"));
  progress.setAttribute("aria-hidden", "true");
  const measure = () => {
    const { scrollHeight, clientHeight, scrollTop } = document.documentElement;
    progress.style.transform = `scaleX(${scrollTop / Math.max(scrollHeight - clientHeight, 1)})`;
  };
  addEventListener("scroll", measure, { passive: true });
  addEventListener("resize", measure);

  // --- what is wider than its place is scrolled by keys too
  const reachable = () => {
    for (const box of document.querySelectorAll("article pre, .formula, .table-wrapper")) {
      if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight + 1) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  addEventListener("resize", reachable);
  document.addEventListener("toggle", reachable, true);
  reachable();

  // --- Chromium gives a root the width of the font's largest root sign: the rest is taken back
  const tighten = () => {
    for (const root of document.querySelectorAll("msqrt")) {
      const rest = root.getBoundingClientRect().right - root.lastElementChild.getBoundingClientRect().right;
      const size = parseFloat(getComputedStyle(root).fontSize);
      if (rest > 0.2 * size) root.style.marginInlineEnd = `${0.08 - rest / size}em`;
    }
  };
  document.addEventListener("toggle", tighten, true);
  document.fonts.ready.then(tighten);

  // --- definitions of terms and names
  const tips = window.Tips || {}; // by address: a heading, a text, where it is defined
  let tip = null;
  let leaving = 0;
  const hide = () => {
    if (!tip) return;
    tip.link.removeAttribute("aria-describedby");
    tip.box.remove();
    tip = null;
  };
  const stay = () => clearTimeout(leaving);
  const leave = () => {
    leaving = setTimeout(hide, 200);
  };
  const show = (link) => {
    stay();
    const found = tips[link.getAttribute("href")];
    if (!found || (tip && tip.link === link)) return;
    hide();
    const box = make("div", "tip");
    box.id = "tip";
    box.setAttribute("role", "tooltip");
    box.append(make("strong", "", found[0]), found[1], " ", make("span", "", found[2]));
    document.body.append(box);
    const place = link.getBoundingClientRect();
    const left = Math.min(place.left, document.documentElement.clientWidth - box.offsetWidth - 16);
    const above = place.bottom + box.offsetHeight + 16 > innerHeight && place.top > box.offsetHeight + 16;
    box.style.left = `${Math.max(left, 8) + scrollX}px`;
    box.style.top = `${(above ? place.top - box.offsetHeight - 6 : place.bottom + 6) + scrollY}px`;
    box.addEventListener("pointerenter", stay);
    box.addEventListener("pointerleave", leave);
    link.setAttribute("aria-describedby", box.id);
    tip = { link, box };
  };
  for (const link of document.querySelectorAll("article a.term, article a.name")) {
    let shown = false; // before a finger came down: the first tap shows the definition, the second follows the link
    link.addEventListener("pointerenter", (event) => event.pointerType !== "touch" && show(link));
    link.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && leave());
    link.addEventListener("pointerdown", () => (shown = tip?.link === link));
    link.addEventListener("click", (event) => {
      if (event.pointerType !== "touch" || shown || !tips[link.getAttribute("href")]) return;
      event.preventDefault();
      show(link);
    });
    link.addEventListener("focus", () => show(link));
    link.addEventListener("blur", hide);
  }
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    hide();
    for (const menu of document.querySelectorAll(".sidebar-toggle")) menu.checked = false;
  });

  // --- guesses: kept on this machine, shown beside what was measured
  const key = (form) => `guess ${location.pathname.split("/").pop()} ${form.dataset.name}`;
  const stored = (form) => {
    try {
      return localStorage.getItem(key(form));
    } catch {
      return null; // this browser keeps nothing
    }
  };
  const keep = (form, value) => {
    try {
      localStorage.setItem(key(form), value);
    } catch {
      // it is shown until the page is left
    }
  };
  const round = (number) => Number(number.toPrecision(3));
  const follows = (form) => {
    const folded = [...document.querySelectorAll("details.measured")];
    return folded.find((one) => form.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING);
  };
  const noted = (form, value) => {
    form.querySelector(".guess-said").textContent = "Kept. It stands beside what was measured.";
    const measured = follows(form);
    if (!measured) return;
    const name = form.dataset.name;
    const said = [...measured.querySelectorAll(".guessed")].find((line) => line.dataset.name === name);
    const line = said || make("p", "guessed");
    line.dataset.name = name;
    line.textContent = `Your guess, ${name}: ${value} ${form.dataset.unit}`.trimEnd();
    if (!said) measured.querySelector("summary").after(line);
  };
  for (const form of document.querySelectorAll("form.guess")) {
    const number = form.querySelector(".guess-number");
    const slider = form.querySelector(".guess-slider");
    const logarithmic = "log" in form.dataset;
    const toNumber = (place) => round(logarithmic ? 10 ** place : Number(place));
    const toPlace = (value) => (logarithmic ? Math.log10(value) : value);
    if (slider) {
      slider.addEventListener("input", () => {
        number.value = toNumber(slider.value);
      });
      number.addEventListener("input", () => {
        if (number.value) slider.value = toPlace(Number(number.value));
      });
    }
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (number.value === "") {
        form.querySelector(".guess-said").textContent = "Write a number first.";
        number.focus();
        return;
      }
      keep(form, number.value);
      noted(form, number.value);
    });
    const before = stored(form);
    if (before !== null) {
      number.value = before;
      if (slider) slider.value = toPlace(Number(before));
      noted(form, before);
    }
  }
})();
