"""Teaches Gesso's text encoder on captions alone, before any picture: which medium, light, palette and subjects.

    python -m training.text --pictures DIR --run DIR

Learnt through the UNet's loss alone, words took thousands of steps to matter. Here a linear probe on the mean of the
last hidden states must name what a caption says; a minute later it does, every token carries it (padding too), and the
encoder is frozen in `RUN/text`. Words that mean nothing here must change nothing: captions are full of them.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training.captions import MAX_TOKENS, caption, said, subjects_of, train_tokenizer
from training.vocabulary import LIGHTS, MEDIA, PALETTES

TEXT_WIDTH = 160
BATCH, STEPS, LEARNING_RATE = 96, 900, 1e-3
SILENT = (0.1, 0.4, 0.4)  # how often a caption names no medium, light, palette


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained CLIP text encoder of two layers."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            hidden_act="quick_gelu",
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def tokenize(tokenizer: CLIPTokenizer, words: list[str]) -> Tensor:
    """Token ids `[n, 48]`, padded as the stock pipeline pads."""
    ids = tokenizer(words, padding="max_length", max_length=MAX_TOKENS, truncation=True)
    return torch.tensor(ids["input_ids"])


KINDS = (MEDIA, LIGHTS, PALETTES)


class Lesson:
    """Captions with what they say: a medium, a light, a palette (the last class of each: none), and the subjects named."""

    def __init__(self, subjects: list[str], seed: int) -> None:
        self.subjects, self.rng = subjects, random.Random(seed)

    def draw(self, count: int) -> tuple[list[str], Tensor, Tensor]:
        """`count` captions, classes `[n, 3]` of medium, light and palette, and subjects `[n, subjects]` in 0 and 1."""
        captions, classes = [], torch.zeros(count, len(KINDS), dtype=torch.long)
        named = torch.zeros(count, len(self.subjects))
        for i in range(count):
            shown = self.rng.sample(self.subjects, self.rng.choice((0, 1, 2, 3)))
            parts: list[str | None] = []
            for kind, words in enumerate(KINDS):
                names = list(words)
                silent = self.rng.random() < SILENT[kind]
                at = len(names) if silent else self.rng.randrange(len(names))
                classes[i, kind] = at
                parts.append(None if silent else said(self.rng, words, names[at]))
            medium, light, palette = parts
            words = caption(self.rng, medium=medium, light=light, palette=palette, subjects=shown)
            for word in shown:
                named[i, self.subjects.index(word)] = float(word in words)
            captions.append(words)
        return captions, classes, named


def teach(tokenizer: CLIPTokenizer, subjects: list[str]) -> CLIPTextModel:
    """The encoder that a linear probe can read."""
    torch.manual_seed(0)
    lesson = Lesson(subjects, seed=0)
    encoder = new_text_encoder(tokenizer)
    sizes = [len(words) + 1 for words in KINDS]
    probe = nn.Linear(TEXT_WIDTH, sum(sizes) + len(subjects))
    optimizer = torch.optim.AdamW([*encoder.parameters(), *probe.parameters()], LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS)
    for step in range(STEPS):
        captions, classes, named = lesson.draw(BATCH)
        hidden = encoder(input_ids=tokenize(tokenizer, captions)).last_hidden_state
        *answers, subjects_said = probe(hidden.mean(1)).split([*sizes, len(subjects)], 1)
        loss = 5 * nn.functional.binary_cross_entropy_with_logits(subjects_said, named)
        for answer, wanted in zip(answers, classes.T, strict=True):
            loss = loss + nn.functional.cross_entropy(answer, wanted)
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 50 == 49:
            right = [
                round((answer.argmax(1) == wanted).float().mean().item(), 2)
                for answer, wanted in zip(answers, classes.T, strict=True)
            ]
            print(
                f"step {step + 1} loss {loss.item():.3f} medium, light, palette {right}", flush=True
            )
    return encoder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    options = parser.parse_args()
    every = subjects_of(options.pictures)
    if not (options.run / "tokenizer").exists():
        train_tokenizer(every, options.run / "tokenizer")
    teach(CLIPTokenizer.from_pretrained(options.run / "tokenizer"), every).save_pretrained(
        options.run / "text"
    )
