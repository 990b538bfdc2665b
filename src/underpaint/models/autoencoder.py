"""Pictures to latents and back through diffusers' autoencoders, at any size and in any numbers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from torch import Tensor

from underpaint.errors import ModelError, Notice
from underpaint.geometry import windows
from underpaint.models import attention, bands
from underpaint.models.catalog import Checkpoint
from underpaint.models.loading import fed, free_on_gpu, opened
from underpaint.models.memory import free_memory

# A decoder of Stable Diffusion's shape holds about 1.5 kB a pixel in float32, 2.4 GB of such a picture.
TILE_PX = 1280
# A CPU is not faster with whole maps of that size, which leave its cache, and glibc fetches them anew each time.
CPU_TILE_PX = 768
# Beyond the reach of every convolution of AutoencoderTiny; what KL's normalisation over a tile alone
# changes is blended over it.
OVERLAP_PX = 256


@dataclass(slots=True, eq=False)
class Autoencoder:
    """An autoencoder (``codec.Codec``).

    A picture of more than ``tile_px`` a side passes a KL autoencoder in bands that give the numbers of
    the whole (``bands.py``), the others in overlapping tiles whose borders are blended, so memory does
    not grow with it. Whether it does depends on the size alone, so bytes agree between surfaces; but a
    KL autoencoder works in tiles too where even bands do not fit into memory, and says so.

    Attributes:
        network: diffusers' own.
        device: Where it runs.
        dtype: In which numbers.
        scale: What latents are multiplied by: a number, or [C, 1, 1].
        shift: What is taken from them before, likewise.
        cell_px: How many pixels a latent cell is wide.
        of_video: Whether its pictures are videos of one frame.
        tile_px: The side of a tile, a multiple of ``cell_px``, and of the largest picture at once.
        overlap_px: How much neighbouring tiles share.
    """

    network: AutoencoderKL | AutoencoderTiny | AutoencoderKLQwenImage
    device: torch.device
    dtype: torch.dtype
    scale: float | Tensor
    shift: float | Tensor
    cell_px: int
    of_video: bool = False
    tile_px: int = TILE_PX
    overlap_px: int = OVERLAP_PX
    _said: list[Notice] = field(default_factory=list[Notice])

    @property
    def notices(self) -> tuple[Notice, ...]:
        """That it computes in float32, or decoded the last picture in tiles, where it had to."""
        return tuple(self._said)

    @torch.inference_mode()
    def encode(self, picture: Tensor) -> Tensor:
        """Latents [C, h, w] float32 on the CPU, of a picture [3, H, W] in -1…1."""
        if kl := self._banded(*picture.shape[-2:]):
            latents = self._finite(picture, lambda x: self._one(bands.encoded(kl, self._fed(x))))
        else:
            latents = self._tiled(picture, self._encoded, self.cell_px, 1)
        return (latents - self.shift) * self.scale

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """The picture [3, H, W] float32 on the CPU in -1…1."""
        z = latents / self.scale + self.shift
        self._said = [notice for notice in self._said if notice.code != "vae-tiles"]
        if kl := self._banded(*(side * self.cell_px for side in z.shape[-2:])):
            made = self._finite(z, lambda x: self._one(bands.decoded(kl, self._fed(x))))
        else:
            made = self._tiled(z, self._decoded, 1, self.cell_px)
        return made.clamp(-1, 1)

    def _tiled(
        self, x: Tensor, through: Callable[[Tensor], Tensor], shrinks: int, grows: int
    ) -> Tensor:
        """``through`` of ``x [C, H, W]``, tile by tile where it is large.

        Where ``x`` is pixels it shrinks by cells of ``shrinks``, where it is latents it grows.
        """
        unit = self.cell_px if grows > 1 else 1  # pixels a position of x
        tile, overlap = self.tile_px // unit, self.overlap_px // unit
        rows, columns = (
            [
                (begin // shrinks * shrinks, min(-(-end // shrinks) * shrinks, length))
                for begin, end in windows(length, tile, overlap)
            ]
            for length in x.shape[-2:]
        )
        if len(rows) == len(columns) == 1:
            return self._finite(x, through)
        whole = weights = torch.empty(0)
        for (first, last), (begin, end) in product(rows, columns):
            made = self._finite(x[:, first:last, begin:end], through)
            if not len(whole):
                size = [side * grows // shrinks for side in x.shape[-2:]]
                whole, weights = torch.zeros(made.shape[0], *size), torch.zeros(*size)
            top, left = (edge * grows // shrinks for edge in (first, begin))
            height, width = made.shape[-2:]
            ramp = overlap * grows // shrinks
            weight = torch.outer(
                _weights(height, ramp, top > 0, top + height < whole.shape[-2]),
                _weights(width, ramp, left > 0, left + width < whole.shape[-1]),
            )
            whole[:, top : top + height, left : left + width] += weight * made
            weights[top : top + height, left : left + width] += weight
        return whole / weights

    def _banded(self, height_px: int, width_px: int) -> AutoencoderKL | None:
        """The network, if it works in bands: a KL autoencoder, a large picture, and room for it."""
        if not isinstance(self.network, AutoencoderKL) or max(height_px, width_px) <= self.tile_px:
            return None
        needed = height_px * width_px * bands.BYTES_A_PIXEL * self.dtype.itemsize // 4
        free = free_memory() if self.device.type == "cpu" else free_on_gpu(self.device)
        if free is None or needed <= free:
            return self.network
        self._say(
            "vae-tiles",
            f"{width_px}x{height_px} takes {needed / 1e9:.1f} GB in the autoencoder, more than is free, so it "
            "works in tiles and tones may differ a little between them",
        )
        return None

    def _say(self, code: str, text: str) -> None:
        """Says something, once."""
        if code not in {notice.code for notice in self._said}:
            self._said.append(Notice(code, text))

    def _finite(self, x: Tensor, through: Callable[[Tensor], Tensor]) -> Tensor:
        """``through`` of ``x``; once more in float32 if it overflows, and in float32 from then on."""
        with attention.fastest(self.device):
            made = through(x)
        if made.isfinite().all():
            return made
        if self.dtype is not torch.float32:
            self._say(
                "vae-float32",
                f"the autoencoder overflows in {str(self.dtype).removeprefix('torch.')} and "
                "computes in float32 instead",
            )
            self.dtype = torch.float32
            cast("Any", self.network).to(torch.float32)
            made = through(x)
            if made.isfinite().all():
                return made
        raise ModelError(
            "the model made numbers that are not finite, and so no picture; try --precision float32, "
            "or fetch the model anew"
        )

    def _encoded(self, pixels: Tensor) -> Tensor:
        made = cast("Any", self.network.encode(self._fed(pixels)))
        tiny = isinstance(self.network, AutoencoderTiny)
        return self._one(made.latents if tiny else made.latent_dist.mode())

    def _decoded(self, z: Tensor) -> Tensor:
        return self._one(cast("Any", self.network).decode(self._fed(z)).sample)

    def _fed(self, x: Tensor) -> Tensor:
        batch = fed(x[None], self.device, self.dtype)
        return batch[:, :, None] if self.of_video else batch

    def _one(self, batch: Tensor) -> Tensor:
        return (batch[0, :, 0] if self.of_video else batch[0]).float().cpu()


def _weights(length: int, ramp: int, before: bool, after: bool) -> Tensor:  # noqa: FBT001  two ends
    """[length]: 1 inside, falling to nearly nothing over ``ramp`` at each end that has a neighbour.

    A raised cosine: its slope is 0 at both ends, so no edge shows where a tile begins.
    """
    rise = torch.sin((torch.arange(ramp) + 0.5) / ramp * torch.pi / 2) ** 2
    weight = torch.ones(length)
    if before:
        weight[:ramp] *= rise
    if after:
        weight[length - ramp :] *= rise.flip(0)
    return weight


def open_autoencoder(
    checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype
) -> Autoencoder:
    """The autoencoder with the scale and shift that its config says.

    One that says that it overflows in float16 (``force_upcast``) computes in float32 there at once.
    """
    kinds = {
        "AutoencoderKL": AutoencoderKL,
        "AutoencoderTiny": AutoencoderTiny,
        "AutoencoderKLQwenImage": AutoencoderKLQwenImage,
    }
    vae = opened(kinds[checkpoint.classes["vae"]], checkpoint, "vae", dtype)
    if dtype is torch.float16 and getattr(vae.config, "force_upcast", False):
        dtype = torch.float32
        vae = vae.to(dtype)
    if isinstance(vae, AutoencoderKLQwenImage):
        mean, std = (
            torch.tensor(vae.config[name]).reshape(-1, 1, 1)
            for name in ("latents_mean", "latents_std")
        )
        return Autoencoder(
            network=cast("Any", vae).to(device),
            device=device,
            dtype=dtype,
            scale=1 / std,
            shift=mean,
            cell_px=checkpoint.cell_px,
            of_video=True,
        )
    return Autoencoder(
        network=vae.to(device=device, memory_format=torch.channels_last),
        device=device,
        dtype=dtype,
        scale=float(vae.config.scaling_factor),
        shift=float(getattr(vae.config, "shift_factor", None) or 0.0),
        cell_px=checkpoint.cell_px,
        tile_px=CPU_TILE_PX if isinstance(vae, AutoencoderKL) and device.type == "cpu" else TILE_PX,
    )
