"""What Gesso's pictures are called: captions for training, and the tokenizer trained on them."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from training.vocabulary import FILLER, LIGHTS, MEDIA, PALETTES

MAX_TOKENS = 48
START, END = "<|startoftext|>", "<|endoftext|>"
EMPTY_SHARE, FILLER_SHARE, PLAIN_SHARE = 0.2, 0.15, 0.5
Name = TypeVar("Name", bound=str)


def said(rng: random.Random, words: Mapping[Name, Sequence[str]], name: Name) -> str:
    """One of the ways to say `name`, more often the plainest."""
    return words[name][0] if rng.random() < PLAIN_SHARE else rng.choice(words[name])


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
    rng: random.Random,
    *,
    medium: str | None,
    light: str | None,
    palette: str | None,
    subjects: Sequence[str],
) -> str:
    """A caption from its parts, any of which may be missing, in one of several word orders.

    Args:
        rng: Where the choices come from.
        medium: The medium's words.
        light: The light's words.
        palette: The palette's words.
        subjects: What is in the picture; a random few of them are named.
    """
    named = rng.sample(list(subjects), min(len(subjects), rng.choice((0, 0, 0, 1, 2))))
    if rng.random() < 0.5 and medium and named:
        article = "" if rng.random() < 0.3 else ("an " if medium[0] in "aeiou" else "a ")
        joined = f"{article}{medium} of {rng.choice((' and ', ', ', ' and a ')).join(named)}"
        parts = [joined, *(part for part in (light, palette) if part)]
    else:
        parts = [part for part in (medium, light, palette) if part] + named
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
            rng,
            medium=rng.choice(MEDIA[medium]),
            light=rng.choice(LIGHTS[rng.choice(list(LIGHTS))]),
            palette=rng.choice(PALETTES[rng.choice(list(PALETTES))]),
            subjects=words,
        )
        for _ in range(3000)
        for medium in MEDIA
    ]
    lines += [*FILLER] * 20 + list(words) * 50
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
