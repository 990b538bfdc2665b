"""The Stable Diffusion 3 family: a joint transformer that reads two CLIP encoders and T5.

Esser et al. 2024 (SD3), section 4 and appendix B.3: both CLIP's penultimate states side by side,
padded with zeros to T5's width, then T5's; the pooled vectors of both CLIPs as one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from torch import Tensor
from torch.nn import functional as F
from transformers.models.clip.modeling_clip import CLIPTextModelWithProjection

from underpaint.denoiser import Prompt, Row
from underpaint.errors import Notice
from underpaint.models.catalog import Checkpoint
from underpaint.models.clip_text import ClipWords
from underpaint.models.embedded import Embedded, hidden_of, pooled_of
from underpaint.models.json_files import read_json
from underpaint.models.loading import opened, placed
from underpaint.models.prompt_syntax import parse
from underpaint.models.stable_diffusion import open_text_model
from underpaint.models.t5 import LongReader, open_long_reader
from underpaint.models.transformer import TransformerDenoiser

ONE_CHUNK = 1  # words of joint attention weigh by how often they stand there; T5 reads the rest
T5_TOKENS = 256  # as trained, and as diffusers feeds it


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Prompts to embeddings.

    Attributes:
        clip: Both CLIP encoders.
        long_reader: T5; without it the network gets zeros in its place, as it was also trained.
        width: The width of T5's states.
    """

    clip: ClipWords
    long_reader: LongReader | None
    width: int

    def encode(
        self, text: str, *, negative: bool = False, clip_skip: int = 0
    ) -> tuple[Prompt, tuple[Notice, ...]]:
        """Hidden states [1, tokens, width] and the pooled vectors [1, P], float32."""
        made, said = self.clip.encode(text, clip_skip=clip_skip)
        short = F.pad(made.words, (0, self.width - made.words.shape[-1]))
        if self.long_reader is None:
            long, notices = torch.zeros(1, T5_TOKENS, self.width), ()
        else:
            long, notices = self.long_reader.encode(parse(text).plain)
            said = tuple(one for one in said if one.code != "prompt-truncated")  # T5 reads on
        joined = Embedded(torch.cat([short, long], dim=1), made.pooled, negative)
        return Prompt(joined), (*said, *notices)


def feed(x: Tensor, times: Tensor, rows: Sequence[Row]) -> Mapping[str, Tensor]:
    """The transformer's arguments."""
    return {
        "hidden_states": x,
        "timestep": times.cpu().double(),  # MPS has no float64
        "encoder_hidden_states": hidden_of(rows),
        "pooled_projections": pooled_of(rows),
    }


def unchanged(output: Tensor, _height: int, _width: int) -> Tensor:
    """The output as it is: the network packs and unpacks by itself."""
    return output


def open_denoiser(
    checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype
) -> TransformerDenoiser:
    """Its transformer."""
    transformer = placed(opened(SD3Transformer2DModel, checkpoint, "transformer", dtype), device)
    return TransformerDenoiser(transformer, checkpoint.schedule, device, dtype, feed, unchanged)


def open_words(checkpoint: Checkpoint) -> Words:
    """Both its CLIPs, and T5 where it is there."""
    clips = tuple(
        open_text_model(CLIPTextModelWithProjection, checkpoint, role)
        for role in ("text_encoder", "text_encoder_2")
    )
    long_reader = None
    if "text_encoder_3" in checkpoint.classes:
        long_reader = open_long_reader(checkpoint, 3, longest=T5_TOKENS)
    core = read_json(checkpoint.part("transformer").config / "config.json")
    width = int(core["joint_attention_dim"])
    return Words(ClipWords(clips, "penultimate", ONE_CHUNK), long_reader, width)
