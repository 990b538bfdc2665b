"""A sheet to name media from by eye, and how many were named rightly.

python -m training.evaluate.blind --sheet blind.png --key key.json      # numbered renders, and what they are
python -m training.evaluate.blind --key key.json --labels "oil ink ?…"  # one word a render, in order
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from training.evaluate.__main__ import RELEASED
from training.evaluate.media import EITHER, GATE, STRENGTHS
from training.evaluate.setting import Pixels, Setting
from training.vocabulary import MEDIA

COUNT, COLUMNS, SHOWN_PX, LABEL_PX = 40, 8, 224, 26


def renders(setting: Setting, seed: int) -> tuple[list[Pixels], list[dict[str, object]]]:
    """Random photographs in random media of the first seven, at both strengths, and what each is."""
    rng = random.Random(seed)
    made, key = [], []
    for i in range(COUNT):
        one = {
            "medium": rng.choice((*GATE, *EITHER)),
            "photograph": rng.choice(list(setting.sources)),
            "strength": list(STRENGTHS)[i % len(STRENGTHS)],
        }
        source, words = setting.sources[one["photograph"]], MEDIA[one["medium"]][0]
        made.append(setting.paint(source, words, strength=one["strength"], seed=seed + i))
        key.append(one)
    return made, key


def sheet(pictures: Sequence[Pixels]) -> Image.Image:
    """The pictures, numbered from 1."""
    height = SHOWN_PX + LABEL_PX
    made = Image.new("RGB", (COLUMNS * SHOWN_PX, -(-len(pictures) // COLUMNS) * height), "white")
    pen, font = ImageDraw.Draw(made), ImageFont.load_default(LABEL_PX - 6)
    for i, picture in enumerate(pictures):
        left, top = i % COLUMNS * SHOWN_PX, i // COLUMNS * height
        pen.text((left + 4, top), str(i + 1), fill="black", font=font)
        shown = Image.fromarray(picture).resize((SHOWN_PX, SHOWN_PX), Image.Resampling.LANCZOS)
        made.paste(shown, (left, top + LABEL_PX))
    return made


def score(key: Sequence[dict[str, object]], labels: Sequence[str]) -> list[str]:
    """How many labels are right at each strength, and which are not."""
    if len(labels) != len(key):
        raise SystemExit(f"there are {len(key)} renders, got {len(labels)} labels; name each one")
    named = list(zip(key, labels, strict=True))
    lines = []
    for strength in STRENGTHS:
        right = [one["medium"] == label for one, label in named if one["strength"] == strength]
        lines.append(f"strength {strength}: {sum(right)} of {len(right)}")
    wrong = (
        f"{i}: {one['medium']} called {label}"
        for i, (one, label) in enumerate(named, start=1)
        if one["medium"] != label
    )
    return [*lines, *wrong]


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=RELEASED)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--labels", help=f"of {', '.join((*GATE, *EITHER))}")
    given = parser.parse_args()
    if given.labels:
        print("\n".join(score(json.loads(given.key.read_text()), given.labels.split())))
        return
    if not given.sheet:
        parser.error("give --sheet FILE.png to render, or --labels to be told how many are right")
    made, key = renders(Setting(given.model.resolve(), given.size), given.seed)
    sheet(made).save(given.sheet)
    given.key.write_text(json.dumps(key, indent=1) + "\n")


if __name__ == "__main__":
    main()
