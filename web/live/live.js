"use strict";
// The live widgets of the web book. Plain scripts, loaded in the order of scripts.json, so that a page works from a
// disk too. Each file puts its names into `Live` and takes from it what earlier files put there, as a chapter's
// module imports those of earlier chapters. Names are the book's: `wte`, `c_attn`, `head_size`, `block_size`.

const Live = { widgets: {} };

{
  const folder = new URL(".", document.currentScript.src).href;
  const arrivals = new Map(); // the address of a script -> a promise that it has run

  /** Run a script of this folder, once, and wait for it. */
  function load_script(name) {
    const address = folder + name;
    if (!arrivals.has(address)) {
      arrivals.set(address, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = address;
        script.onload = resolve;
        script.onerror = () => {
          arrivals.delete(address); // the next call tries again
          script.remove();
          reject(new Error(`${name} could not be loaded`));
        };
        document.head.append(script);
      }));
    }
    return arrivals.get(address);
  }

  const SLICE = 12; // milliseconds of work after which the page may answer its reader
  let began = performance.now();

  /** Let the page answer if the work has taken a while; AbortError when the reader wants something else by now. */
  async function pause(signal) {
    if (performance.now() - began > SLICE) {
      await new Promise((resolve) => setTimeout(resolve));
      began = performance.now();
    }
    signal?.throwIfAborted();
  }

  Object.assign(Live, { folder, load_script, pause });
}
