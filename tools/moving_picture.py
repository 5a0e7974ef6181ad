"""The README's moving picture: `python -m tools.moving_picture` writes data/readme.gif.

It is the next-token sampler of chapter 12 with the shipped model, pressed by program: a frame for each drawn
character.
"""

import io

from PIL import Image

from gptlib.files import DATA, replacing
from gptlib.widgets.next_token_sampler import render, sampler_for_model
from gptlib.widgets.shipped_model import trained_model

PROMPT, LENGTH, TEMPERATURE, SEED = "ROMEO:\n", 36, 0.8, 12
FRAME, LAST = 450, 4000  # milliseconds


def frames(length: int = LENGTH) -> list[Image.Image]:
    """The sampler's pictures while `length` characters are drawn and appended, at their width on the page."""
    trained = trained_model()
    sampler = sampler_for_model(trained.model, trained.tokenizer, PROMPT)
    sampler.temperature.value = TEMPERATURE
    sampler.seed.value = SEED
    shown = []
    for _ in range(length):
        sampler.press()
        picture = Image.open(io.BytesIO(render(sampler.state))).convert("RGB")
        shown.append(picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS))
        sampler.press()
    return shown


def moving_picture(shown: list[Image.Image]) -> bytes:
    """A GIF that repeats the frames, all with the colours of one that has a blue bar."""
    palette = shown[-1].quantize(32, method=Image.Quantize.MAXCOVERAGE)
    same = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in shown]
    buffer = io.BytesIO()
    durations = [*[FRAME] * (len(same) - 1), LAST]
    same[0].save(
        buffer, "gif", save_all=True, append_images=same[1:], duration=durations, loop=0, optimize=True
    )
    return buffer.getvalue()


if __name__ == "__main__":
    with replacing(DATA / "readme.gif") as temporary:
        temporary.write_bytes(moving_picture(frames()))
