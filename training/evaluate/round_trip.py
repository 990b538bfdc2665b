"""Measure 1: what the autoencoder alone does to a photograph, and whether its grid of cells shows."""

from __future__ import annotations

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray

from training.autoencoder import judge, photographs
from training.evaluate.setting import Data, Setting, at_most, table, verdict

CELL_PX = 8
NEIGHBOURS = (3, 4, 5, 6, 7, 8)  # bins beside a harmonic; the nearest two hold its own leakage
VISIBLE_LEVELS = 1.0  # of 255: the least step that a screen can show


@torch.no_grad()
def measure(setting: Setting) -> Data:
    """For each photograph at 512²: PSNR in dB, mean CIEDE2000, and the grid's share and size."""
    vae = AutoencoderTiny.from_pretrained(setting.folder / "vae").eval()
    found: Data = {}
    figures = judge(vae)
    for name, pixels in photographs().items():
        made = vae.decode(vae.encode(pixels).latents).sample.clamp(-1, 1)
        error = ((made - pixels)[0].mean(0) * 127.5).numpy()
        psnr, delta_e = figures[name]
        share, levels = grid(error)
        found[name] = {
            "psnr_db": psnr,
            "delta_e": delta_e,
            "grid_share": share,
            "grid_levels": levels,
        }
    return found


def grid(error: NDArray[np.float32]) -> tuple[float, float]:
    """How far an error `[H, W]` in levels of 255 repeats every 8 pixels.

    Returns:
        The energy at the grid's frequency and its harmonics over that of their neighbours, 1 for none, the greater of
        both directions; and the root mean square of the error's mean over all cells, in levels.
    """
    shares = []
    for lines in (error, error.T):
        energy = (np.abs(np.fft.rfft(lines - lines.mean(), axis=1)) ** 2).mean(0)
        base = lines.shape[1] // CELL_PX
        harmonics = [base * i for i in range(1, CELL_PX // 2)]
        beside = [energy[h + sign * n] for h in harmonics for n in NEIGHBOURS for sign in (-1, 1)]
        shares.append(float(energy[harmonics].mean() / np.mean(beside)))
    height, width = (side // CELL_PX * CELL_PX for side in error.shape)
    cells = error[:height, :width].reshape(height // CELL_PX, CELL_PX, width // CELL_PX, CELL_PX)
    return max(shares), float(cells.mean((0, 2)).std())


def lines(found: Data) -> list[str]:
    """The figures, to read."""
    columns = ("psnr_db", "delta_e", "grid_share", "grid_levels")
    rows = [[name, *(f"{one[column]:.2f}" for column in columns)] for name, one in found.items()]
    head = (
        "photograph",
        "PSNR, dB",
        "mean ΔE2000",
        "energy at 8 px, of its neighbours'",
        "grid, levels of 255",
    )
    worst = [min(one["psnr_db"] for one in found.values())]
    worst += [max(one[column] for one in found.values()) for column in columns[1:]]
    return [
        *table(head, rows),
        verdict("lowest PSNR", worst[0], 31.0, written="{:.2f} dB"),
        at_most("highest mean ΔE2000", worst[1], 1.2),
        at_most("strongest grid, in levels of 255", worst[3], VISIBLE_LEVELS),
    ]
