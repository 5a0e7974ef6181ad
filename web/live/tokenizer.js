"use strict";
// Chapter 01: text to token ids and back: characters and byte pairs.
{
  /** One token for each distinct character, numbered in code-point order. */
  class CharTokenizer {
    constructor(characters) {
      this.characters = [...characters];
      this.vocab_size = this.characters.length;
      this.id = new Map(this.characters.map((character, i) => [character, i]));
    }

    /** One id per character; Error names a character that is not known. */
    encode(text) {
      return Array.from(text, (character, place) => {
        const id = this.id.get(character);
        if (id === undefined) {
          throw new Error(
            `unknown character '${Live.visible(character)}' at position ${place}: this model knows ${this.vocab_size} characters, ` +
              `${JSON.stringify(this.characters.join(""))}`,
          );
        }
        return id;
      });
    }

    decode(ids) {
      return ids.map((id) => this.characters[id]).join("");
    }
  }

  // GPT-2's pre-tokens: contractions, words, numbers, other signs (each with one leading space), white space.
  // JavaScript's \s is not Unicode's white space: it has U+FEFF and lacks U+0085.
  const GPT2_PATTERN = new RegExp(
    "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\p{White_Space}\\p{L}\\p{N}]+|" +
      "\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+",
    "gu",
  );

  function pretokens(text) {
    return text.match(GPT2_PATTERN) ?? [];
  }

  /** The UTF-8 bytes of a text; Error names a lone surrogate, half of a character that UTF-8 cannot hold. */
  function utf8(text) {
    const lone = text.search(/[\ud800-\udfff]/u); // with the flag u, the halves of a pair do not match
    if (lone >= 0) throw new Error(`position ${lone} holds a lone surrogate: it has no UTF-8`);
    return [...new TextEncoder().encode(text)];
  }

  /** `ids` with every occurrence of the pair (a, b), from left to right, replaced by `joined`. */
  function merge(ids, [a, b], joined) {
    const out = [];
    for (const id of ids) {
      if (id === b && out.length && out.at(-1) === a) out[out.length - 1] = joined;
      else out.push(id);
    }
    return out;
  }

  /** Byte-pair encoding inside GPT-2's pre-tokens: ids 0 … 255 are bytes, each further id joins a pair. */
  class BPETokenizer {
    /** `pattern` cuts a text into pre-tokens; `byte_order` lists the bytes of the ids 0 … 255. */
    constructor(merges, byte_order = [...Array(256).keys()], cut = pretokens) {
      this.merges = new Map(merges.map((pair, i) => [String(pair), 256 + i]));
      this.cut = cut;
      this.spelling = byte_order.map((byte) => [byte]); // the bytes of each id
      for (const [a, b] of merges) this.spelling.push([...this.spelling[a], ...this.spelling[b]]);
      this.id_of_byte = new Map(byte_order.map((byte, id) => [byte, id]));
      this.vocab_size = this.spelling.length;
    }

    encode(text) {
      utf8(text); // names a lone surrogate by its place in the whole text
      return this.cut(text).flatMap((pretoken) => this.encode_pretoken(pretoken));
    }

    /** Ids of one pre-token: the earliest learned pair is joined first, until none is left. */
    encode_pretoken(text) {
      let ids = utf8(text).map((byte) => this.id_of_byte.get(byte));
      for (;;) {
        const known = ids.slice(1).map((id, i) => this.merges.get(`${ids[i]},${id}`) ?? Infinity);
        const earliest = Math.min(...known);
        if (earliest === Infinity) return ids;
        const at = known.indexOf(earliest);
        ids = merge(ids, [ids[at], ids[at + 1]], earliest);
      }
    }

    decode_bytes(ids) {
      return ids.flatMap((id) => this.spelling[id]);
    }

    decode(ids) {
      return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new Uint8Array(this.decode_bytes(ids)));
    }

    /** GPT-2's vocabulary, without its one special token, from the lines of its file vocab.bpe. */
    static gpt2(vocab_bpe) {
      const byte_order = visible_bytes(), id_of = new Map(byte_order.map((byte, id) => [spelled(byte, id), id]));
      const merges = vocab_bpe.trimEnd().split("\n").slice(1).map((line) => {
        const [a, b] = line.split(" ");
        id_of.set(a + b, id_of.size);
        return [id_of.get(a), id_of.get(b)];
      });
      return new BPETokenizer(merges, byte_order);
    }
  }

  /** The bytes in GPT-2's order: those that are visible characters, then the rest. */
  function visible_bytes() {
    const visible = (byte) => (byte > 32 && byte < 127) || (byte > 160 && byte < 173) || byte > 173;
    const all = [...Array(256).keys()];
    return [...all.filter(visible), ...all.filter((byte) => !visible(byte))];
  }

  /** GPT-2's file spells the byte of each id as a visible character: itself, or the next one from 256 upwards. */
  function spelled(byte, id) {
    return String.fromCharCode(id < 188 ? byte : 256 + id - 188); // 188 bytes are visible
  }

  const gpt2 = {}; // the text of vocab.bpe, and a promise of the tokenizer

  /** What the script of GPT-2's merges calls. */
  function merges(vocab_bpe) {
    gpt2.vocab_bpe = vocab_bpe;
  }

  /** GPT-2's tokenizer, loaded at the first call. */
  function gpt2_tokenizer() {
    gpt2.tokenizer ??= Live.load_script("merges-gpt2.js")
      .then(() => BPETokenizer.gpt2(gpt2.vocab_bpe))
      .catch((error) => {
        gpt2.tokenizer = null; // the next call tries again
        throw error;
      });
    return gpt2.tokenizer;
  }

  Object.assign(Live, { merges, gpt2_tokenizer, CharTokenizer, BPETokenizer, pretokens, utf8, merge });
}
