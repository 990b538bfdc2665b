"""The Stable Diffusion XL family: two CLIP text encoders, and a UNet that is told sizes.

Podell et al. 2023 (SDXL): the penultimate hidden states of both encoders side by side, the second's
pooled vector, and six numbers (section 2.2); the refiner reads the second encoder alone, and an
aesthetic score in the place of the target size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection

from underpaint.denoiser import Prompt, Row
from underpaint.errors import Notice
from underpaint.models.catalog import Checkpoint
from underpaint.models.clip_text import ClipWords, TextModel
from underpaint.models.embedded import Embedded, embedded, pooled_of
from underpaint.models.json_files import read_json
from underpaint.models.stable_diffusion import (
    UNetDenoiser,
    open_text_model,
    open_unet,
)

AESTHETIC_SCORE, NEGATIVE_AESTHETIC_SCORE = 6.0, 2.5  # what diffusers tells the refiner


@dataclass(frozen=True, slots=True)
class Sizes:
    """The numbers that the UNet is told beside the words.

    Attributes:
        cell_px: How many pixels a latent cell is wide.
        scored: Whether an aesthetic score takes the target size's place.
    """

    cell_px: int
    scored: bool

    def __call__(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """``text_embeds`` [B, P] and ``time_ids`` [B, 5 or 6] of the rows."""
        return {
            "text_embeds": pooled_of(rows),
            "time_ids": torch.tensor([self._ids(row) for row in rows], dtype=torch.float32),
        }

    def _ids(self, row: Row) -> list[float]:
        """Original size, crop and target size: the picture's own, uncropped; heights first."""
        height, width = (float(side * self.cell_px) for side in row.x.shape[-2:])
        if not self.scored:
            return [height, width, 0.0, 0.0, height, width]
        negative = embedded(row).negative
        return [
            height, width, 0.0, 0.0, NEGATIVE_AESTHETIC_SCORE if negative else AESTHETIC_SCORE
        ]  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Prompts to embeddings through the encoders that the checkpoint has.

    Attributes:
        clip: The encoders.
        silent_negative: Whether an empty negative prompt is zeros rather than the encoded silence.
    """

    clip: ClipWords
    silent_negative: bool

    def encode(
        self, text: str, *, negative: bool = False, clip_skip: int = 0
    ) -> tuple[Prompt, tuple[Notice, ...]]:
        """Hidden states [1, tokens, C] and the last encoder's pooled vector [1, P], float32."""
        made, notices = self.clip.encode(text, clip_skip=clip_skip)
        words, pooled = made.words, made.pooled
        if pooled is None:
            raise ValueError("the last text encoder has no projection")
        if negative and not text and self.silent_negative:
            words, pooled = torch.zeros_like(words), torch.zeros_like(pooled)
        return Prompt(Embedded(words, pooled, negative)), notices


def open_denoiser(
    checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype
) -> UNetDenoiser:
    """Its UNet, which also reads sizes."""
    unet = open_unet(checkpoint, device=device, dtype=dtype)
    scored = _reads_score(checkpoint, _index(checkpoint))
    also = Sizes(cell_px=checkpoint.cell_px, scored=scored)
    return UNetDenoiser(unet, checkpoint.schedule, device, dtype, also)


def open_words(checkpoint: Checkpoint) -> Words:
    """Both its CLIPs, or the refiner's one."""
    clip = ClipWords(_encoders(checkpoint), "penultimate", checkpoint.defaults.longest_chunks)
    return Words(clip, bool(_index(checkpoint).get("force_zeros_for_empty_prompt", True)))


def _index(checkpoint: Checkpoint) -> dict[str, Any]:
    return read_json(checkpoint.folder / "model_index.json")


def _reads_score(checkpoint: Checkpoint, index: Mapping[str, Any]) -> bool:
    """Whether its embedding has room for five numbers rather than six."""
    said = index.get("requires_aesthetics_score")
    return bool(said) if said is not None else checkpoint.family.name.endswith("refiner")


def _encoders(checkpoint: Checkpoint) -> tuple[TextModel, ...]:
    kinds: dict[str, Any] = {
        "text_encoder": CLIPTextModel,
        "text_encoder_2": CLIPTextModelWithProjection,
    }
    return tuple(
        open_text_model(kind, checkpoint, role)
        for role, kind in kinds.items()
        if role in checkpoint.classes
    )
