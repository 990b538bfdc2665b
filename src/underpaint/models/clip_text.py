"""Prompts to embeddings through CLIP text models: any length, weighted words, skipped layers.

One text model (SD 1.x, 2.x, the SDXL refiner) or several whose states lie side by side (SDXL, SD3).

A text model reads ``longest`` tokens at a time, marks included (77 in the wild). A longer prompt is
read in chunks, each with its own marks, and the chunks' states follow one another (AUTOMATIC1111,
``modules/sd_hijack_clip.py``, ``tokenize_line``). A short prompt without syntax is one chunk, and
its embedding is diffusers' own, bit for bit.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor
from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from underpaint.errors import Notice, RequestError
from underpaint.models.prompt_syntax import WeightedPrompt, parse
from underpaint.vocabulary import Vocabulary

# AUTOMATIC1111's comma_padding_backtrack: a chunk of 75 tokens may end up to 20 early, at a comma.
COMMA_REACH = 20 / 75
LARGEST_GROWTH = 4  # of a prompt that is repeated to share a call; beyond it two calls are cheaper

Layer = Literal["last", "penultimate"]
"""Which hidden state a family's denoiser was trained on: the last after the model's final norm
(SD 1.x, 2.x), or the one before the last as it is (SDXL, SD3)."""


class Token(NamedTuple):
    """One token of a prompt and the weight of its word."""

    id: int
    weight: float


MADE_ROOM = Notice(
    "prompt-truncated",
    "the model was taught short prompts, so the words that it does not know made room for those that it knows",
)

Chunk = tuple[Token, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """What the text models made of a prompt, float32 on the CPU.

    Attributes:
        words: [1, chunks x longest, C]; C counts the channels of all text models.
        pooled: [1, P], the first chunk as one vector, from every text model that has a projection,
            in their order; None where none has.
    """

    words: Tensor
    pooled: Tensor | None


@dataclass(frozen=True, slots=True, eq=False)
class TextModel:
    """A CLIP text model and its tokenizer."""

    tokenizer: CLIPTokenizer
    network: CLIPTextModel | CLIPTextModelWithProjection

    @property
    def longest(self) -> int:
        """How many tokens it reads at a time, start and end marks included."""
        config = cast("Any", self.network.config)
        return min(
            int(cast("Any", self.tokenizer).model_max_length), int(config.max_position_embeddings)
        )

    def tokens(self, prompt: WeightedPrompt) -> list[list[Token]]:
        """The tokens of each section, without marks."""
        return [
            [Token(one, piece.weight) for piece in section for one in self._ids(piece.text)]
            for section in prompt.sections
        ]

    def chunks(self, sections: Sequence[Sequence[Token]], most: int | None) -> list[Chunk]:
        """The chunks that the sections fill; the last of ``most`` may be longer than is read."""
        room = self.longest - 2
        comma = int(cast("Any", self.tokenizer).convert_tokens_to_ids(",</w>"))
        found: list[Chunk] = []
        for section in sections:
            rest = tuple(section)
            while len(rest) > room:
                cut = _cut(rest, room, comma)
                found.append(rest[:cut])
                rest = rest[cut:]
            found.append(rest)
        if most is None or len(found) <= most:
            return found
        # The last one that is read is filled to the brim, whatever commas say.
        return [*found[: most - 1], tuple(token for chunk in found[most - 1 :] for token in chunk)]

    def states(self, chunk: Chunk, *, layer: Layer, skip: int) -> tuple[Tensor, Tensor | None]:
        """A chunk's weighted states [1, longest, C], and its pooled vector [1, P] or None."""
        tokenizer = cast("Any", self.tokenizer)
        padding = self.longest - 2 - len(chunk)
        ids = [
            tokenizer.bos_token_id,
            *(token.id for token in chunk),
            tokenizer.eos_token_id,
            *[tokenizer.pad_token_id] * padding,
        ]
        weights = [1.0, *(token.weight for token in chunk), *[1.0] * (1 + padding)]
        fed = torch.tensor([ids], device=self.network.device)
        said = self.network(fed, output_hidden_states=True)
        pooled = cast("Tensor | None", getattr(said, "text_embeds", None))
        hidden = cast("Sequence[Tensor]", said.hidden_states)
        if layer == "last":
            # In transformers 5 a model without a projection is its own ``text_model``.
            body = cast("Any", getattr(self.network, "text_model", self.network))
            state = cast("Tensor", body.final_layer_norm(hidden[-1 - skip]))
        else:
            state = hidden[-2 - skip]
        return _emphasised(
            state.float().cpu(), weights
        ), None if pooled is None else pooled.float().cpu()

    def check_skip(self, skip: int, layer: Layer) -> None:
        """Refuses to skip so many layers that none is left.

        Raises:
            RequestError: it is negative or too large.
        """
        layers = int(cast("Any", self.network.config).num_hidden_layers)
        most = layers - (1 if layer == "last" else 2)
        if not 0 <= skip <= most:
            raise RequestError(
                f"clip_skip must lie in [0, {most}] for this model, whose text model has {layers} "
                f"layers, got {skip}"
            )

    def text(self, tokens: Sequence[Token]) -> str:
        """The words of the tokens, for people to read."""
        return str(cast("Any", self.tokenizer).decode([token.id for token in tokens])).strip()

    def _ids(self, text: str) -> list[int]:
        tokenizer = cast("Any", self.tokenizer)
        return tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)[
            "input_ids"
        ]


@dataclass(frozen=True, slots=True, eq=False)
class ClipWords:
    """Prompts to embeddings, for every family whose words go through CLIP.

    Attributes:
        models: The text models in the order in which their channels lie; at least one.
        layer: The hidden state that the denoiser was trained on.
        longest_chunks: How many chunks the denoiser can follow; None for any number. What does not
            fit is left out, with a notice. Denoisers of real size follow several, although they were
            trained on one; a small one that saw nothing else does not.
        vocabulary: The words that the denoiser was taught, where those are few: others make room for them.
    """

    models: tuple[TextModel, ...]
    layer: Layer = "last"
    longest_chunks: int | None = None
    vocabulary: Vocabulary | None = None

    @torch.inference_mode()
    def encode(self, text: str, *, clip_skip: int = 0) -> tuple[Embedding, tuple[Notice, ...]]:
        """The embedding of a prompt, and what should be known about it.

        Args:
            text: In the grammar of ``prompt_syntax``.
            clip_skip: How many layers earlier than usual the states are taken, as in diffusers; the
                final norm still follows where the family has it. AUTOMATIC1111 and ComfyUI count
                from the last: their clip skip 2 is 1 here where the last is usual, and 0 on SDXL.

        Raises:
            RequestError: a weight lies outside 0...10, or no layer is left.
        """
        for model in self.models:
            model.check_skip(clip_skip, self.layer)
        prompt = parse(text)
        notices = list(prompt.notices)
        if self.longest_chunks is not None and len(prompt.sections) > self.longest_chunks:
            notices.append(_joined(self.longest_chunks))
        chunks = self._chunks(prompt)
        if self.vocabulary is not None and (
            self.vocabulary.drowns_in(prompt.plain) or any(self._lost(chunks[0]))
        ):
            chunks = self._chunks(_spoken(prompt, self.vocabulary))
            notices.append(MADE_ROOM)
        notices.extend(self._lost(chunks[0]))
        return self._embedding(chunks, clip_skip), tuple(notices)

    def _chunks(self, prompt: WeightedPrompt) -> list[list[Chunk]]:
        """What each text model reads at a time."""
        sections = [model.tokens(prompt) for model in self.models]
        if self.longest_chunks is not None and len(prompt.sections) > self.longest_chunks:
            sections = [[[token for one in each for token in one]] for each in sections]
        return [
            model.chunks(each, self.longest_chunks)
            for model, each in zip(self.models, sections, strict=True)
        ]

    def _embedding(self, chunks: Sequence[Sequence[Chunk]], skip: int) -> Embedding:
        most = max(len(each) for each in chunks)
        states: list[Tensor] = []
        pooled: list[Tensor] = []
        for model, own in zip(self.models, chunks, strict=True):
            # Tokenizers that count differently end in empty chunks; CLIP's and OpenCLIP's agree.
            said = [
                model.states(chunk[: model.longest - 2], layer=self.layer, skip=skip)
                for chunk in (*own, *[()] * (most - len(own)))
            ]
            states.append(torch.cat([state for state, _ in said], dim=1))
            if said[0][1] is not None:
                pooled.append(said[0][1])
        return Embedding(torch.cat(states, dim=-1), torch.cat(pooled, dim=-1) if pooled else None)

    def _lost(self, chunks: Sequence[Chunk]) -> Iterator[Notice]:
        model, room = self.models[0], self.models[0].longest - 2
        if lost := chunks[-1][room:]:
            message = (
                f"the model reads {len(chunks) * room} tokens of a prompt; left out: "
                f"{model.text(lost)[:120]!r}; shorten it, or put what matters first"
            )
            yield Notice("prompt-truncated", message)


def _spoken(prompt: WeightedPrompt, vocabulary: Vocabulary) -> WeightedPrompt:
    """The prompt without the words that were not taught."""
    return replace(
        prompt,
        sections=tuple(
            tuple(replace(piece, text=vocabulary.heard(piece.text)) for piece in section)
            for section in prompt.sections
        ),
    )


def share_a_call(words: Sequence[Tensor]) -> list[list[int]]:
    """Which rows' prompts [1, n, C] may go into one network call: lists of their indexes.

    All of them, where repeating (``stacked``) makes none more than ``LARGEST_GROWTH`` times as long
    as the longest is; else those of one length each.
    """
    counts = [one.shape[1] for one in words]
    if counts and math.lcm(*counts) <= LARGEST_GROWTH * max(counts):
        return [list(range(len(words)))]
    return [[i for i, count in enumerate(counts) if count == one] for one in dict.fromkeys(counts)]


def stacked(words: Sequence[Tensor]) -> Tensor:
    """Prompts [1, n, C] of several lengths as one batch [B, n, C], for cross-attention.

    The shorter are repeated until all are of one length. Cross-attention weighs tokens by what they
    say, not by where they stand, and a softmax over every key m times sums to the same average: so a
    row's answer does not depend on whose call it shares, as it would if short prompts were filled up
    with empty chunks. Not for joint attention (SD3, FLUX), where a repeated word does gain weight.
    """
    most = math.lcm(*(one.shape[1] for one in words))
    return torch.cat([one.repeat(1, most // one.shape[1], 1) for one in words])


def _cut(tokens: Chunk, room: int, comma: int) -> int:
    """Where a chunk ends: after the last comma within reach, or else where it is full."""
    if tokens[room].id == comma:
        return room
    earliest = room - round(room * COMMA_REACH)
    ends = (i + 1 for i in range(room - 1, earliest - 1, -1) if tokens[i].id == comma)
    return next(ends, room)


def _emphasised(states: Tensor, weights: Sequence[float]) -> Tensor:
    """The states [1, n, C], each times its token's weight, brought back to a mean weight of one.

    AUTOMATIC1111's ``EmphasisOriginal`` (``modules/sd_emphasis.py``) multiplies likewise and then
    restores the mean over all states, ``z *= mean(before) / mean(after)``. Where every position has
    the same mean that factor is n / sum(weights), and this is the one taken: a mean over states can
    be next to zero (Gesso's is less than a hundredth of their size, SDXL's states pass no norm), and its
    ratio is then an accident. Where no word is weighted nothing is touched.
    """
    if all(weight == 1 for weight in weights):
        return states
    factors = torch.tensor(weights) * (len(weights) / sum(weights))
    return states * factors[None, :, None]


def _joined(most: int) -> Notice:
    chunks = "one chunk" if most == 1 else f"{most} chunks"
    return Notice(
        "break-ignored",
        f"the model reads {chunks} of words; each BREAK of the prompt is taken as a space",
    )
