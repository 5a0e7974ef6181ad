"""What 8 bits a weight cost the shipped models: `python -m tools.measure.quantisation`, some minutes.

Writes data/runs/quantisation.json: the exact loss of the validation text in nats per character, with the
stored weights and with those that the web book computes with.
"""

import json

from gptlib.files import write_text
from gptlib.loss import evaluate
from gptlib.widgets.shipped_model import trained_model
from tools.measure import DATA, characters
from web.weights import MODELS, dequantised

OUT = DATA / "runs" / "quantisation.json"


def main() -> None:
    """Measure and write the file."""
    corpus, _, (_, val_tokens) = characters()
    losses = {"corpus": corpus.name}
    for name in MODELS:
        model = trained_model(name).model
        before = evaluate(model, val_tokens, model.config.block_size)
        after = evaluate(dequantised(model), val_tokens, model.config.block_size)
        losses[name] = {"float": round(before, 5), "8 bits": round(after, 5)}
        print(f"{name}: {before:.5f} nats, in 8 bits {after:.5f}", flush=True)
    write_text(OUT, json.dumps(losses, indent=1) + "\n")


if __name__ == "__main__":
    main()
