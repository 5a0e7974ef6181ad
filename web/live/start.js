"use strict";
// Every place for a live widget on the page gets its widget. The static figure stays where one is unknown or fails.
{
  function start(place) {
    const widget = Live.widgets[place.dataset.live];
    if (!widget) return;
    Promise.resolve()
      .then(() => widget(place, JSON.parse(place.dataset.options || "{}")))
      .catch((error) => {
        const words = `The live version does not work here (${error.message}); above is the stored one.`;
        place.append(Live.h("p", { class: "live-message", role: "status" }, words));
      });
  }

  const begin = () => document.querySelectorAll(".live[data-live]").forEach(start);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
}
