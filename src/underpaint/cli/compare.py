"""``underpaint compare``."""

from dataclasses import asdict
from typing import Annotated

import typer

from underpaint import pixels
from underpaint.cli.options import JsonFlag
from underpaint.cli.reporting import show_json, show_notices, show_pairs
from underpaint.errors import Notice
from underpaint.fidelity import Comparison, compare, dists, heat_map, lpips
from underpaint.fidelity.perceptual import check_installed


def command(
    source: Annotated[str, typer.Argument(help="The picture it began with.", metavar="SOURCE")],
    result: Annotated[str, typer.Argument(help="What became of it.", metavar="RESULT")],
    *,
    map_file: Annotated[
        str | None,
        typer.Option(
            "--heat-map", help="Write a picture that shows where they differ.", metavar="FILE"
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
    with_lpips: Annotated[
        bool, typer.Option("--lpips", help="Measure LPIPS too; needs underpaint[perceptual].")
    ] = False,
    with_dists: Annotated[
        bool, typer.Option("--dists", help="Measure DISTS too; needs underpaint[perceptual].")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Say how far RESULT strayed from SOURCE, in structure and in colour.

    Structure and edges run from 1 (the same) to 0; colour difference and palette distance are 0 where
    nothing changed, and seldom above 100. Their sizes may differ, their shapes may not.
    """
    suffix = ""
    if map_file is not None:
        suffix = pixels.suffix_of(map_file)
        pixels.check_destination(map_file, overwrite=overwrite)
        for what, one in (("source", source), ("result", result)):
            pixels.check_source_stays(map_file, one, what=what)
    if with_lpips or with_dists:
        check_installed()
    ours, theirs = pixels.read(source), pixels.read(result)
    found = compare(ours, theirs)
    learned = {
        name: measure(ours, theirs)
        for name, measure, wanted in (("lpips", lpips, with_lpips), ("dists", dists, with_dists))
        if wanted
    }
    if map_file is not None:
        data = pixels.encode(heat_map(ours, theirs), suffix)
        pixels.write_atomically(map_file, data, overwrite=overwrite)
    notices = [
        Notice(one.code, f"{name}: {one.message}")
        for name, picture in ((source, ours), (result, theirs))
        for one in picture.notices
    ]
    if json:
        names = {"source": source, "result": result, "heat_map": map_file}
        told = {"notices": [asdict(one) for one in notices]}
        show_json({**names, **asdict(found), **learned, **told})
    else:
        show_notices(notices)
        show_pairs(
            lines_of(found) | {name: _MEANINGS[name].format(learned[name]) for name in learned}
        )


_MEANINGS = {
    "lpips": "{:.3f} apart as AlexNet sees it (0 is the same; Zhang et al. 2018)",
    "dists": "{:.3f} apart in structure and texture as VGG sees it (0 is the same; Ding et al. 2020)",
}


def lines_of(found: Comparison) -> dict[str, object]:
    """Each figure with its meaning."""
    return {
        "structure": f"{found.structure:.3f} of 1 kept (multi-scale SSIM of luminance)",
        "edges": f"{found.edges:.3f} of 1 kept (F1 of outlines within 2 px of 256)",
        "colour": f"{found.delta_e:.1f} apart on average (CIEDE2000; 10 is seen at a glance)",
        "palette": f"{found.palette:.1f} apart wherever the colours lie (steps in Lab)",
    }
