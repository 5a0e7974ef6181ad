"use strict";
// Chapter 05's trained head in the attention explorer: it looks up cards that the reader types.
{
  const { AttentionExplorer, load_script, add } = Live;
  const LETTERS = "abcdefgh", DIGITS = "0123456789";

  let head = null; // W_q, W_k and W_v, each 18 rows: one for each letter, then one for each digit

  /** What the script of the head calls. */
  function cards_head(matrices) {
    head = matrices;
  }

  /** Typed cards -> their labels, and the head's queries, keys and values, each [1][1][T][head_size]. */
  function vectors_of_cards(text) {
    const cards = text.trim().split(/\s+/);
    for (const card of cards) {
      if (!/^[a-h][0-9?]$/.test(card)) {
        throw new Error(`'${card}' is no card: write a letter a–h and a digit, such as c4, or a letter and ?`);
      }
    }
    const vectors = [head.W_q, head.W_k, head.W_v].map((W) => [[cards.map((card) => row_of_card(card, W))]]);
    return [cards, vectors];
  }

  /** x W for a card: x is 1 at its letter and at its digit, so two rows of W are added. */
  function row_of_card([letter, digit], W) {
    const row = W[LETTERS.indexOf(letter)];
    return digit === "?" ? row : add(row, W[LETTERS.length + DIGITS.indexOf(digit)]);
  }

  Object.assign(Live, { cards_head, vectors_of_cards });
  Live.widgets.cards = async (place, { prompt }) => {
    await load_script("cards.js");
    new AttentionExplorer(place, prompt, null, vectors_of_cards);
  };
}
