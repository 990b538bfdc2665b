"""Teaches Gesso's text encoder on captions alone, before any picture: which medium, which light, which subjects.

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

from training.captions import (
    MAX_TOKENS,
    MEDIA,
    caption,
    light_words,
    medium_words,
    subjects_of,
    train_tokenizer,
)

TEXT_WIDTH = 160
LIGHTS = ("unsaid", "neutral", "side", "left", "right")
BATCH, STEPS, LEARNING_RATE = 96, 700, 1e-3


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


class Lesson:
    """Captions with what they say: a medium (the last class: none), a light, and the subjects named."""

    def __init__(self, subjects: list[str], seed: int) -> None:
        self.subjects, self.rng = subjects, random.Random(seed)

    def draw(self, count: int) -> tuple[list[str], Tensor, Tensor, Tensor]:
        """`count` captions, media `[n]`, lights `[n]` and subjects `[n, subjects]` in 0 and 1."""
        captions, media, lights = [], [], []
        named = torch.zeros(count, len(self.subjects))
        names = list(MEDIA)
        for i in range(count):
            medium = self.rng.randrange(len(names) + 1)
            light = self.rng.randrange(len(LIGHTS))
            shown = self.rng.sample(self.subjects, self.rng.choice((0, 1, 2, 3)))
            words = caption(
                self.rng,
                medium=medium_words(self.rng, names[medium]) if medium < len(names) else None,
                light=self._light(LIGHTS[light]),
                subjects=shown,
            )
            for word in shown:
                named[i, self.subjects.index(word)] = float(word in words)
            captions.append(words)
            media.append(medium)
            lights.append(light)
        return captions, torch.tensor(media), torch.tensor(lights), named

    def _light(self, light: str) -> str | None:
        if light == "unsaid":
            return None
        if light in {"left", "right"}:
            return light_words(self.rng, "side", light, named=True)
        return light_words(self.rng, light, "")


def teach(tokenizer: CLIPTokenizer, subjects: list[str]) -> CLIPTextModel:
    """The encoder that a linear probe can read."""
    torch.manual_seed(0)
    lesson = Lesson(subjects, seed=0)
    encoder = new_text_encoder(tokenizer)
    probe = nn.Linear(TEXT_WIDTH, len(MEDIA) + 1 + len(LIGHTS) + len(subjects))
    optimizer = torch.optim.AdamW([*encoder.parameters(), *probe.parameters()], LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS)
    kinds = (len(MEDIA) + 1, len(LIGHTS), len(subjects))
    for step in range(STEPS):
        captions, media, lights, named = lesson.draw(BATCH)
        hidden = encoder(input_ids=tokenize(tokenizer, captions)).last_hidden_state
        said_medium, said_light, said_subjects = probe(hidden.mean(1)).split(kinds, 1)
        loss = (
            nn.functional.cross_entropy(said_medium, media)
            + nn.functional.cross_entropy(said_light, lights)
            + 5 * nn.functional.binary_cross_entropy_with_logits(said_subjects, named)
        )
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 50 == 49:
            right = [
                (said.argmax(1) == wanted).float().mean().item()
                for said, wanted in ((said_medium, media), (said_light, lights))
            ]
            print(
                f"step {step + 1} loss {loss.item():.3f} medium {right[0]:.2f} light {right[1]:.2f}",
                flush=True,
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
