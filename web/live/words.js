"use strict";
// How the widgets show tokens, numbers and errors as text, and how they read text fields.
{
  const VISIBLE = { " ": "␣", "\n": "⏎", "\t": "⇥" };

  /** The token with its white space made visible and unprintable characters escaped: "a\n" is "a⏎". */
  function visible(token) {
    if (token === "") return "∅";
    return Array.from(token, (c) => VISIBLE[c] ?? (/[\p{C}\p{Z}]/u.test(c) ? escape(c) : c)).join("");
  }

  function escape(character) {
    const code = character.codePointAt(0).toString(16);
    if (code.length <= 2) return `\\x${code.padStart(2, "0")}`;
    return code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\U${code.padStart(8, "0")}`;
  }

  /** The text as a one-line field holds it: each line break becomes the two characters `\n`. */
  const typed = (text) => text.replaceAll("\n", "\\n");

  /** The text that a one-line field stands for: the inverse of `typed`. */
  const untyped = (field) => field.replaceAll("\\n", "\n");

  /** The ids of what a one-line field stands for. The error at a tab or a backslash says how to type a line break. */
  function ids_of_typed(tokenizer, text) {
    try {
      return tokenizer.encode(text);
    } catch (error) {
      if (/[\t\\]/.test(text)) error.message += ". In this field, \\n stands for a line break";
      throw error;
    }
  }

  /** One decimal; a small p above 0 is "< 0.1 %", not "0.0 %". */
  function percent(p) {
    if (p === 0) return "0 %";
    return p < 0.001 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`;
  }

  /** Two decimals and a typographic minus sign; two digits for what would be 0.00. */
  function number(x) {
    if (x === -Infinity) return "−∞";
    const small = x !== 0 && Math.abs(x) < 0.095;
    return (small ? general(x, 2) : x.toFixed(2)).replaceAll("-", "−");
  }

  /** `digits` significant digits without zeros at the end, as Python's format g. */
  function general(x, digits) {
    if (x === 0) return "0";
    const exponent = Math.floor(Math.log10(Math.abs(Number(x.toPrecision(digits)))));
    if (exponent < -4 || exponent >= digits) {
      const [mantissa, power] = x.toExponential(digits - 1).split("e");
      return `${Number(mantissa)}e${power[0]}${power.slice(1).padStart(2, "0")}`;
    }
    return String(Number(x.toPrecision(digits)));
  }

  /** The number with its sign in front, and this many decimals. */
  const signed = (x, decimals = 2) => `${x < 0 ? "−" : "+"}${Math.abs(x).toFixed(decimals)}`;

  /** Red, green and blue of a colour's six hexadecimal digits. */
  const rgb = (hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));

  Object.assign(Live, { rgb, visible, typed, untyped, ids_of_typed, percent, number, general, signed });
}
