"""One checkpoint's networks, each opened when it is first needed, and let go where memory is short."""

import gc
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, cast

import torch

from underpaint.allocator import give_back
from underpaint.codec import Codec
from underpaint.denoiser import Denoiser, Prompt
from underpaint.errors import Notice
from underpaint.models.autoencoder import TILE_PX, open_autoencoder
from underpaint.models.catalog import Checkpoint
from underpaint.models.headers import read_header
from underpaint.models.loading import checked, free_for, free_on_gpu, refusals, without_chatter
from underpaint.models.memory import Offload, check_fits, free_memory, needs_of
from underpaint.models.recognition import check_numbers

T = TypeVar("T")


class Words(Protocol):
    """A family's text encoders."""

    def encode(
        self, text: str, *, negative: bool = False, clip_skip: int = 0
    ) -> tuple[Prompt, tuple[Notice, ...]]:
        """What the denoiser of the same family understands, and what to say about the text."""
        ...


class Adapter(Protocol):
    """What the module of a family offers."""

    def open_denoiser(
        self, checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype
    ) -> Denoiser:
        """Its network on ``device`` in ``dtype``, not yet guided."""
        ...

    def open_words(self, checkpoint: Checkpoint) -> Words:
        """Its text encoders, which compute in float32 on the CPU."""
        ...


@dataclass(slots=True, eq=False)
class Model:
    """A checkpoint, whatever its family.

    Attributes:
        checkpoint: What it is.
        device: Where its networks run, but for the text encoders.
        dtype: In which numbers.
        takes_turns: Whether the text encoders and the denoiser leave memory for one another.
        notices: What was decided while it was opened.
    """

    checkpoint: Checkpoint
    device: torch.device
    dtype: torch.dtype
    takes_turns: bool = False
    notices: tuple[Notice, ...] = ()
    _codec: Codec | None = field(default=None, init=False)
    _denoiser: Denoiser | None = field(default=None, init=False)
    _words: Words | None = field(default=None, init=False)

    @property
    def codec(self) -> Codec:
        """Its autoencoder."""
        if self._codec is None:
            self._codec = self._opened(
                lambda: open_autoencoder(self.checkpoint, device=self.device, dtype=self.dtype)
            )
        return self._codec

    @property
    def denoiser(self) -> Denoiser:
        """Its network, not yet guided."""
        if self._denoiser is None:
            if self.takes_turns:
                self._words = None
                _let_go()
            self._denoiser = self._opened(
                lambda: self._adapter.open_denoiser(
                    self.checkpoint, device=self.device, dtype=self.dtype
                )
            )
        return self._denoiser

    @property
    def words(self) -> Words:
        """Its text encoders."""
        if self._words is None:
            if self.takes_turns:
                self._denoiser = None
                _let_go()
            self._words = self._opened(lambda: self._adapter.open_words(self.checkpoint))
        return self._words

    @property
    def _adapter(self) -> Adapter:
        module = importlib.import_module(f"underpaint.models.{self.checkpoint.family.adapter}")
        return cast("Adapter", module)

    def _opened(self, open_it: Callable[[], T]) -> T:
        with without_chatter(), refusals(self.checkpoint):
            return open_it()


def _let_go() -> None:
    """Gives the memory of networks that nobody has any more to the system."""
    gc.collect()  # their hooks know them, and they their hooks
    give_back()


def load(
    checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype, offload: Offload = "auto"
) -> Model:
    """The checkpoint's networks on ``device`` in ``dtype``, every file checked, none opened yet.

    Raises:
        ModelError: weights are missing, are no safetensors, or do not fit into memory.
    """
    checkpoint.fetch()
    for role in checkpoint.classes:
        if "tokenizer" not in role and checkpoint.part(role).file is None:
            checked(checkpoint, role)
    # a whole model's own file was checked when it was recognised
    for given in checkpoint.parts.values():
        if given.path.is_file():
            check_numbers(read_header(given.path))
    needs = needs_of(checkpoint, number_bytes=dtype.itemsize, tile_px=TILE_PX)
    turns = check_fits(
        checkpoint.name,
        needs,
        offload=offload,
        own_memory=free_for(device, free_memory()),
        device_free=free_on_gpu(device),
    )
    notices = (needs.turns_taken(checkpoint.name),) if turns and offload == "auto" else ()
    return Model(checkpoint, device, dtype, turns, notices)
