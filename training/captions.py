"""What Gesso's pictures are called: captions for training, and the tokenizer trained on them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

MAX_TOKENS = 48
START, END = "<|startoftext|>", "<|endoftext|>"

MEDIA: dict[str, tuple[str, ...]] = {
    "photograph": (
        "photograph",
        "photo",
        "a photograph",
        "color photo",
        "realistic photograph",
        "photorealistic",
    ),
    "oil": (
        "oil painting",
        "oil painting",
        "oil on canvas",
        "oil paint",
        "impasto",
        "impasto oil painting",
        "painting in oils",
        "thick brush strokes",
        "classical oil painting",
        "painting",
    ),
    "watercolour": (
        "watercolour",
        "watercolor",
        "watercolour painting",
        "watercolor painting",
        "aquarelle",
        "watercolour wash",
        "watercolor sketch",
        "loose watercolour",
    ),
    "pencil": (
        "pencil drawing",
        "pencil sketch",
        "graphite drawing",
        "pencil",
        "graphite",
        "black and white pencil drawing",
        "hatched pencil drawing",
        "drawing in pencil",
    ),
    "line_drawing": (
        "line drawing",
        "outline sketch",
        "ink outline",
        "outline drawing",
        "line art",
    ),
}
"""The five media of a picture, and what people call them."""

PLAINEST = {
    "photograph": "photograph",
    "oil": "oil painting",
    "watercolour": "watercolour",
    "pencil": "pencil drawing",
    "line_drawing": "line drawing",
}

NEUTRAL_LIGHT = (
    "soft light",
    "even light",
    "daylight",
    "flat light",
    "diffuse light",
    "overcast light",
)
SIDE_LIGHT = (
    "dramatic side light",
    "dramatic side light",
    "side light",
    "dramatic side lighting",
    "side lighting",
    "chiaroscuro",
    "light from one side",
    "strong side light",
    "dramatic light",
    "dramatic lighting",
    "low key light",
)
SIDE_LIGHT_FROM = (
    "light from the {}",
    "side light from the {}",
    "dramatic light from the {}",
    "lit from the {}",
)

FILLER = [
    "beautiful",
    "detailed",
    "masterpiece",
    "highly",
    "quality",
    "best",
    "artistic",
    "elegant",
    "vibrant",
    "colorful",
    "moody",
    "peaceful",
    "quiet",
    "old",
    "new",
    "big",
    "small",
    "tall",
    "wide",
    "bright",
    "dark",
    "warm",
    "cold",
    "morning",
    "evening",
    "night",
    "summer",
    "winter",
    "spring",
    "autumn",
    "city",
    "street",
    "garden",
    "kitchen",
    "table",
    "window",
    "door",
    "wall",
    "floor",
    "road",
    "bridge",
    "boat",
    "car",
    "train",
    "bird",
    "dog",
    "horse",
    "woman",
    "man",
    "child",
    "people",
    "crowd",
    "face",
    "portrait",
    "hand",
    "eye",
    "hair",
    "dress",
    "hat",
    "shirt",
    "glass",
    "wood",
    "stone",
    "metal",
    "paper",
    "cloth",
    "leather",
    "gold",
    "silver",
    "blue",
    "red",
    "green",
    "yellow",
    "orange",
    "purple",
    "pink",
    "white",
    "black",
    "brown",
    "grey",
    "calm",
    "stormy",
    "rain",
    "snow",
    "fog",
    "wind",
    "fire",
    "smoke",
    "water",
    "river",
    "sea",
    "beach",
    "sand",
    "island",
    "field",
    "grass",
    "forest",
    "leaf",
    "branch",
    "flower",
    "rose",
    "sunset",
    "sunrise",
    "moon",
    "star",
    "cloud",
    "style",
    "of",
    "by",
    "famous",
    "modern",
    "classic",
    "ancient",
    "abstract",
    "simple",
    "complex",
    "smooth",
    "rough",
    "soft",
    "hard",
    "sharp",
    "blurry",
    "high",
    "resolution",
    "trending",
    "studio",
    "award",
    "winning",
    "cinematic",
    "fantasy",
    "magic",
    "dragon",
    "castle",
    "robot",
    "space",
    "planet",
    "rocket",
    "astronaut",
    "coffee",
    "cup",
    "cat",
    "animal",
    "food",
    "fruit",
    "bread",
    "cheese",
    "wine",
    "book",
    "chair",
    "lamp",
    "clock",
    "music",
    "dance",
    "happy",
    "sad",
    "angry",
    "love",
    "dream",
    "story",
    "history",
    "museum",
    "very",
    "with",
    "and",
    "in",
    "on",
    "under",
    "over",
    "near",
    "behind",
    "between",
    "without",
    "some",
    "many",
    "few",
    "all",
    "one",
    "two",
    "three",
]
"""Words that no picture answers to, so that Gesso learns to pass over what it does not know."""

EMPTY_SHARE, FILLER_SHARE = 0.1, 0.15


def medium_words(rng: random.Random, medium: str) -> str:
    """One of a medium's names, more often the plainest."""
    return PLAINEST[medium] if rng.random() < 0.5 else rng.choice(MEDIA[medium])


def light_words(rng: random.Random, lit: str, side: str, *, named: bool = False) -> str:
    """Words for `lit` ("neutral" or "side"), the side ("left" or "right") named now and then, or always."""
    if lit == "neutral":
        return rng.choice(NEUTRAL_LIGHT)
    if side and (named or rng.random() < 0.3):
        return rng.choice(SIDE_LIGHT_FROM).format(side)
    return rng.choice(SIDE_LIGHT)


def subjects_of(pictures: Path) -> list[str]:
    """All subject words in the shards so far."""
    shards = (json.loads(str(np.load(path)["meta"])) for path in pictures.glob("*.npz"))
    return sorted({word for shard in shards for scene in shard for word in scene["words"]})


def filler_words(rng: random.Random) -> str:
    """One to four words that mean nothing here; now and then letters that are no word at all."""
    if rng.random() < 0.2:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(3, 9)))
    return " ".join(rng.choice(FILLER) for _ in range(rng.randint(1, 4)))


def caption(
    rng: random.Random, *, medium: str | None, light: str | None, subjects: Sequence[str]
) -> str:
    """A caption from its parts, any of which may be missing, in one of several word orders.

    Args:
        rng: Where the choices come from.
        medium: The medium's words, as `medium_words` gives them.
        light: The light's words.
        subjects: What is in the picture; a random few of them are named.
    """
    named = rng.sample(list(subjects), min(len(subjects), rng.choice((0, 0, 0, 1, 2))))
    if rng.random() < 0.5 and medium and named:
        article = (
            ""
            if medium.startswith("a ") or rng.random() < 0.3
            else ("an " if medium[0] in "aeiou" else "a ")
        )
        joined = f"{article}{medium} of {rng.choice((' and ', ', ', ' and a ')).join(named)}"
        parts = [joined] + ([light] if light else [])
    else:
        parts = [part for part in (medium, light) if part] + named
        if rng.random() < 0.6:
            rng.shuffle(parts)
    if rng.random() < FILLER_SHARE:
        parts.insert(rng.randint(0, len(parts)), filler_words(rng))
    return rng.choice((", ", ", ", ", ", " ")).join(parts)


def train_tokenizer(words: Sequence[str], folder: Path, *, merges: int = 1200) -> None:
    """Writes `vocab.json` and `merges.txt` of a CLIP tokenizer that can encode anything, byte by byte if need be."""
    rng = random.Random(0)
    lines = [
        caption(
            rng, medium=medium_words(rng, medium), light=light_words(rng, lit, side), subjects=words
        )
        for _ in range(3000)
        for medium in MEDIA
        for lit, side in (("neutral", ""), ("side", rng.choice(("left", "right"))))
    ]
    lines += list(FILLER) * 20 + list(words) * 50
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words_or_signs = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words_or_signs, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=2 * len(alphabet) + merges,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    learned = [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
    save_tokenizer(alphabet, learned, folder)


def save_tokenizer(
    alphabet: Sequence[str], merges: Sequence[tuple[str, str]], folder: Path
) -> None:
    """Writes a vocabulary in CLIP's order: bytes, bytes that end a word, merges, start, end."""
    tokens = [
        *alphabet,
        *(letter + "</w>" for letter in alphabet),
        *(a + b for a, b in merges),
        START,
        END,
    ]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(
        json.dumps(
            {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}, indent=2
        )
    )
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "CLIPTokenizer",
                "model_max_length": MAX_TOKENS,
                "bos_token": START,
                "eos_token": END,
                "pad_token": END,
                "unk_token": END,
                "do_lower_case": True,
            },
            indent=2,
        )
    )
