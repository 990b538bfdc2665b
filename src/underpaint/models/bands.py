"""diffusers' KL autoencoder on a picture of any size: bands of rows that give the numbers of the whole.

A group normalisation takes mean and variance over a whole map, and attention looks all over it, so tiles that are worked
on by themselves differ from the whole in tone, and show. Here the statistics are those of the whole: every map that a
normalisation reads is computed once, band by band, and kept; everything between two such maps passes in bands with the
rows around them that a convolution reaches. At most two maps of the finest level are held at once, and those after the
last upsampling, the widest of all, never. The middle, with its attention, works at an eighth of the size and is
computed at once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional

BAND_POSITIONS = 2**15  # of a map that are computed at once; more leave the processor's cache
GPU_BAND_POSITIONS = 2**18  # fewer leave a GPU idle between bands
TINY = 1e-12  # what is added to a variance before its root is taken
BYTES_A_PIXEL = 1100
"""What is held at most in float32: two maps of 128 channels, and the bands."""


@dataclass(frozen=True, slots=True)
class Map:
    """A feature map [1, C, height, width] of which any rows can be had.

    Attributes:
        height: Its rows.
        width: Its columns.
        rows: Computes or returns those from a first to before a last, within 0…height.
        positions: How many are computed at once.
    """

    height: int
    width: int
    rows: Callable[[int, int], Tensor]
    positions: int

    def bands(self) -> Iterator[tuple[int, int]]:
        """First and last row of each band, from top to bottom; two rows at least but for the last."""
        step = max(2, self.positions // self.width)
        for begin in range(0, self.height, step):
            yield begin, min(begin + step, self.height)


def encoded(vae: AutoencoderKL, pixels: Tensor) -> Tensor:
    """The mean latents [1, C, h, w] of pixels [1, 3, H, W], as ``vae.encode(pixels).latent_dist.mode()``."""
    encoder = cast("Any", vae.encoder)
    x = _convolved(encoder.conv_in, _held(pixels))
    for block in encoder.down_blocks:
        for resnet in block.resnets:
            x = _residual(resnet, x)
        for sampler in block.downsamplers or ():
            x = _kept(_halved(sampler, x))
    middle = encoder.mid_block(x.rows(0, x.height))
    moments = encoder.conv_out(encoder.conv_act(encoder.conv_norm_out(middle)))
    if vae.quant_conv is not None:
        moments = vae.quant_conv(moments)
    return moments.chunk(2, dim=1)[0]


def decoded(vae: AutoencoderKL, z: Tensor) -> Tensor:
    """The pixels [1, 3, H, W] of latents [1, C, h, w], as ``vae.decode(z).sample``."""
    decoder = cast("Any", vae.decoder)
    if vae.post_quant_conv is not None:
        z = vae.post_quant_conv(z)
    x = _held(decoder.mid_block(decoder.conv_in(z)))
    blocks = list(decoder.up_blocks)
    finest = [block for block in blocks if block.upsamplers][-1:]
    for block in blocks:
        for resnet in block.resnets:
            x = _residual(resnet, x)
        for sampler in block.upsamplers or ():
            x = _convolved(sampler.conv, _doubled(x))
            if block not in finest:
                x = _kept(x)
    made = _normalised(decoder.conv_norm_out, decoder.conv_act, x)
    return _kept(_convolved(decoder.conv_out, made)).rows(0, x.height)


def _held(x: Tensor) -> Map:
    positions = BAND_POSITIONS if x.device.type == "cpu" else GPU_BAND_POSITIONS
    return Map(x.shape[2], x.shape[3], lambda begin, end: x[:, :, begin:end], positions)


def _kept(source: Map, into: Tensor | None = None) -> Map:
    """``source``, computed and held; ``into`` may be what it is computed from, with a reach of one row.

    A band is written only once the next one has been computed.
    """
    spans = list(source.bands())
    made = source.rows(*spans[0])
    if into is None:
        shape = (1, made.shape[1], source.height, source.width)
        into = torch.empty(
            shape, dtype=made.dtype, device=made.device, memory_format=torch.channels_last
        )
    for (begin, end), following in zip_longest(spans, spans[1:]):
        later = made if following is None else source.rows(*following)
        into[:, :, begin:end] = made
        made = later
    return _held(into)


def _convolved(conv: nn.Conv2d, source: Map) -> Map:
    """A convolution that keeps the size, with zeros around the map."""
    reach, sides = cast("tuple[int, int]", conv.padding)

    def rows(begin: int, end: int) -> Tensor:
        above, below = max(0, reach - begin), max(0, end + reach - source.height)
        x = source.rows(begin - reach + above, end + reach - below)
        x = functional.pad(x, (0, 0, above, below)) if above or below else x
        return functional.conv2d(x, conv.weight, conv.bias, padding=(0, sides))

    return replace(source, rows=rows)


def _doubled(source: Map) -> Map:
    """Each position four times."""

    def rows(begin: int, end: int) -> Tensor:
        first = begin // 2
        x = functional.interpolate(source.rows(first, -(-end // 2)), scale_factor=2.0)
        return x[:, :, begin - 2 * first : end - 2 * first]

    return replace(source, height=2 * source.height, width=2 * source.width, rows=rows)


def _halved(sampler: Downsample2D, source: Map) -> Map:
    """A convolution of stride 2, with a row of zeros below and a column to the right."""
    conv = cast("nn.Conv2d", sampler.conv)

    def rows(begin: int, end: int) -> Tensor:
        below = max(0, 2 * end + 1 - source.height)
        x = functional.pad(source.rows(2 * begin, 2 * end + 1 - below), (0, 1, 0, below))
        return functional.conv2d(x, conv.weight, conv.bias, stride=2)

    return replace(source, height=source.height // 2, width=source.width // 2, rows=rows)


def _normalised(norm: nn.GroupNorm, activation: nn.Module, source: Map) -> Map:
    """``source`` after a group normalisation by the whole map's statistics, and an activation."""
    mean, variance = _statistics(source, norm.num_groups)
    by = (variance + norm.eps).rsqrt()
    each = norm.num_channels // norm.num_groups
    scale = norm.weight.cpu().double() * by.repeat_interleave(each)
    shift = norm.bias.cpu().double() - mean.repeat_interleave(each) * scale
    scale, shift = (one[:, None, None].float().to(norm.weight.device) for one in (scale, shift))

    def rows(begin: int, end: int) -> Tensor:
        x = source.rows(begin, end)
        return activation(torch.addcmul(shift, x.float(), scale).to(x.dtype))

    return replace(source, rows=rows)


def _statistics(source: Map, groups: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of each group, float64 on the CPU; bands are joined as in Chan, Golub, LeVeque (1979)."""
    sizes, found = list[int](), list[Tensor]()
    for begin, end in source.bands():
        own = source.rows(begin, end)
        sizes.append(own.numel() // groups)
        of_band = _of_band_on_cpu if own.device.type == "cpu" else _of_band
        found.append(torch.stack(of_band(own, groups)))
    count, mean, spread = 0, torch.zeros(()), torch.zeros(())
    for more, (middle, variance) in zip(sizes, torch.stack(found).cpu().double(), strict=True):
        apart = middle - mean
        mean = mean + apart * (more / (count + more))
        spread = spread + variance * more + apart.square() * (count * more / (count + more))
        count += more
    return mean, spread / count


def _of_band(own: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of each group of a band [1, C, rows, width], where it lies."""
    variance, mean = torch.var_mean(own.float().reshape(groups, -1), dim=1, correction=0)
    return mean, variance


def _of_band_on_cpu(own: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """The same in half the time, by torch's normalisation, which takes statistics on its way."""
    own = own.contiguous(memory_format=torch.channels_last)
    _, channels, height, width = own.shape
    # a single picture's own stride may be any, and torch's normalisation wants the one of its layout
    own = own.as_strided(own.shape, (own.numel(), 1, width * channels, channels))
    weight = torch.ones(channels)  # which makes statistics float32
    _, mean, root = torch.native_group_norm(
        own, weight, None, 1, channels, height * width, groups, TINY
    )
    return mean[0].double(), (root[0].double() ** -2 - TINY).clamp(min=0)


def _residual(block: ResnetBlock2D, source: Map) -> Map:
    """A residual block without a time."""
    inner = _kept(_convolved(block.conv1, _normalised(block.norm1, block.nonlinearity, source)))
    branch = _convolved(block.conv2, _normalised(block.norm2, block.nonlinearity, inner))
    trunk = source
    if block.conv_shortcut is not None:
        trunk = _convolved(block.conv_shortcut, source)

    def rows(begin: int, end: int) -> Tensor:
        return (trunk.rows(begin, end) + branch.rows(begin, end)) / block.output_scale_factor

    return _kept(replace(source, rows=rows), into=inner.rows(0, inner.height))
