"use strict";
// A trained model from its script: `python -m web.weights` writes each matrix as 8-bit numbers with one scale a row.
{
  const { GPT, CharTokenizer, load_script, pause } = Live;
  const files = {}; // the model's name -> what its script holds

  /** What the weights' scripts call. */
  function weights(name, file) {
    files[name] = file;
  }

  const models = {}; // the model's name -> a promise of { name, model, tokenizer, about }

  /** A trained model by name, loaded at the first call. */
  function trained_model(name) {
    models[name] ??= build(name).catch((error) => {
      delete models[name]; // the next call tries again
      throw error;
    });
    return models[name];
  }

  async function build(name) {
    await load_script(`weights-${name}.js`);
    const { config, tokenizer, tensors } = files[name], state = {};
    for (const [key, tensor] of Object.entries(tensors)) {
      await pause();
      state[key] = tensor.scales ? matrix(tensor) : floats(tensor.values);
    }
    delete files[name]; // the text is not needed any more
    return { name, model: new GPT(config, state), tokenizer: new CharTokenizer(tokenizer.characters) };
  }

  /** A dequantised matrix: row j is scales[j] times its whole numbers from -127 to 127. */
  function matrix({ shape, scales, values }) {
    const [n_out, n_in] = shape;
    const scale = floats(scales), whole = new Int8Array(bytes(values).buffer);
    return Array.from({ length: n_out }, (_, j) =>
      Float32Array.from(whole.subarray(j * n_in, (j + 1) * n_in), (number) => number * scale[j]),
    );
  }

  function floats(base64) {
    return new Float32Array(bytes(base64).buffer);
  }

  function bytes(base64) {
    const text = atob(base64), found = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) found[i] = text.charCodeAt(i);
    return found;
  }

  Object.assign(Live, { weights, trained_model });
}
