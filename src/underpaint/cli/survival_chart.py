"""What survives of a source, for people and for programs."""

import math
from collections.abc import Iterator
from typing import Any

from underpaint.survival import Spectrum, Survival

_BAR = 40  # characters


def survival_chart(spectrum: Spectrum, seen: Survival) -> Iterator[str]:
    """The lines of a bar chart, the largest shapes first, and what they mean in one sentence."""
    if spectrum.is_flat:
        yield "the source is one flat colour: there are no shapes that could survive"
        return
    yield "what the model can still make out of the source at the start:"
    widths = [f"{octave.shape_px:.0f}" for octave in spectrum.octaves]
    for width, share in zip(widths, seen.shares, strict=True):
        shown = (
            "nothing there"
            if share is None
            else f"{'#' * round(_BAR * share):<{_BAR}} {share:4.0%}"
        )
        yield f"  shapes of {width:>{len(widths[0])}} px  {shown}"
    yield f"{_meaning(seen)}; calibrated strength {1 - seen.mean:.3f}"


def survival_facts(spectrum: Spectrum, seen: Survival) -> dict[str, Any]:
    """The same as plain values; ``smallest_px`` is null where no shape survives by half."""
    pairs = zip(spectrum.octaves, seen.shares, strict=True)
    return {
        "octaves": [
            {"shape_px": round(octave.shape_px, 1), "share": share} for octave, share in pairs
        ],
        "mean": seen.mean,
        "calibrated_strength": 1 - seen.mean,
        "smallest_px": None if math.isinf(seen.smallest_px) else round(seen.smallest_px, 1),
    }


def _meaning(seen: Survival) -> str:
    if seen.smallest_px == 0:
        return "shapes of every size survive"
    if math.isinf(seen.smallest_px):
        return "no shape survives by half"
    return f"shapes larger than about {seen.smallest_px:.0f} px survive"
