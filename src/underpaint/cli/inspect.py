"""``underpaint inspect``."""

from typing import Annotated

import typer

from underpaint import pixels
from underpaint.cli.options import JsonFlag
from underpaint.cli.reporting import show_json, show_notices, show_pairs
from underpaint.errors import RecipeError
from underpaint.fidelity import Comparison
from underpaint.infotext import Infotext, parse_infotext
from underpaint.recipe import Recipe
from underpaint.request import Request
from underpaint.xmp import Properties, read_packet


def command(
    file: Annotated[str, typer.Argument(help="A picture.", metavar="FILE")],
    *,
    json: JsonFlag = False,
) -> None:
    """Show how a picture was made: its recipe, or the settings that other programs wrote."""
    packet, text = pixels.read_metadata(file)
    said = _properties(packet)
    recipe = None if said.recipe is None else Recipe.from_json(said.recipe)
    infotext = parse_infotext(text) if text else None
    if recipe is None and infotext is None:
        raise RecipeError(
            f"{file!r} carries no recipe and no settings that are read here; it was made elsewhere, or its "
            "metadata was left out"
        )
    if json:
        show_json(
            {
                "file": file,
                "recipe": None if recipe is None else recipe.to_dict(),
                "digital_source_type": said.digital_source_type,
                "infotext": text,
                "settings": None if infotext is None else _settings(infotext),
            }
        )
    elif recipe is not None:
        show_pairs(_recipe_lines(recipe))
        show_notices(recipe.plan.notices)
    elif infotext is not None:
        negative = {"negative prompt": infotext.negative_prompt} if infotext.negative_prompt else {}
        show_pairs({"prompt": infotext.prompt, **negative, **infotext.settings})


def _properties(packet: bytes | None) -> Properties:
    try:
        return read_packet(packet or b"")
    except ValueError:  # none, or another program's damaged one
        return Properties(None, None)


def _settings(infotext: Infotext) -> dict[str, str]:
    return {
        "prompt": infotext.prompt,
        "negative_prompt": infotext.negative_prompt,
        **infotext.settings,
    }


def _strayed(found: Comparison | None) -> str | None:
    if found is None:
        return None
    return (
        f"structure {found.structure:.3f}, edges {found.edges:.3f}, colour {found.delta_e:.1f}, "
        f"palette {found.palette:.1f}"
    )


def _told(asked: Request) -> dict[str, object]:
    """What was said of the model and its text encoders, where anything was."""
    return {
        "parts": ", ".join(f"{role} {place}" for role, place in (asked.parts or {}).items()),
        "prediction": asked.prediction,
        "distilled": asked.distilled,
        "clip skip": asked.clip_skip or None,
    }


def _recipe_lines(recipe: Recipe) -> dict[str, object]:
    asked, start, build = recipe.request, recipe.plan.start, recipe.build
    low, high = asked.guidance_interval
    where = "" if (low, high) == (0, 1) else f" for t in {low:g}:{high:g}"
    scale = "" if asked.strength_scale == "schedule" else f" ({asked.strength_scale})"
    lines: dict[str, object] = {
        "source": f"{recipe.source.name or 'no name'}, "
        f"{recipe.source.width}x{recipe.source.height}, SHA-256 {recipe.source.sha256}",
        "prompt": asked.prompt,
        "negative prompt": asked.negative_prompt,
        "strength": f"{asked.strength:g}{scale}: starts at alpha {start.alpha:.4f}, sigma "
        f"{start.sigma:.4f}, {start.signal_share:.1%} of the source's signal",
        "steps": recipe.plan.evaluations,
        "sampler": f"{asked.sampler}, spacing {asked.spacing}"
        + ("" if asked.eta is None else f", eta {asked.eta:g}"),
        "guidance": f"{asked.guidance_scale:g}{where}"
        + (f", rescaled by {asked.guidance_rescale:g}" if asked.guidance_rescale else ""),
        "seed": asked.seed,
        "variation": f"{asked.variation:g} towards seed {asked.variation_seed}"
        if asked.variation
        else None,
        "size": f"{recipe.size}, rendered at {recipe.working_size}"
        + ("" if asked.size is None else f", fit {asked.fit}"),
        "model": f"{recipe.model.name}, {recipe.model.family}, SHA-256 {recipe.model.sha256}",
        "refiner": None
        if recipe.refiner is None
        else f"{recipe.refiner.name} below t = {asked.refiner_start:g}, SHA-256 {recipe.refiner.sha256}",
        **_told(asked),
        "build": f"underpaint {build.underpaint}, torch {build.torch}, diffusers {build.diffusers}, "
        f"transformers {build.transformers}, numpy {build.numpy}, pillow {build.pillow}",
        "strayed": _strayed(recipe.fidelity),
        "ran on": f"{build.device}, {build.precision}, {build.threads} threads, "
        f"{build.instruction_set}, {build.rows_per_call} pictures a call",
    }
    return {name: value for name, value in lines.items() if value not in {"", None}}
