"""``underpaint models``: what is shipped, and what a checkpoint on disk is."""

from collections import Counter
from typing import Annotated, Any

import typer

from underpaint.cli.options import JsonFlag, PartOption, parts_of
from underpaint.cli.reporting import show_json, show_line, show_notices, show_pairs
from underpaint.errors import ModelError
from underpaint.models import catalog
from underpaint.models.catalog import Checkpoint
from underpaint.models.headers import Header
from underpaint.models.hub import cached
from underpaint.request import Distilled, Told

group = typer.Typer(
    invoke_without_command=True, help="List the models that are shipped, or inspect one on disk."
)


@group.callback()
def command(context: typer.Context, *, json: JsonFlag = False) -> None:
    """List the models that are shipped and those of a hub that are in the cache.

    Folders and single files work as well, wherever they lie.
    """
    if context.invoked_subcommand is not None:
        return
    for name in catalog.SHIPPED:
        found = catalog.find(name)
        _show({"name": name, **_facts(found), "bytes": _bytes(found)}, json=json)
    for place in cached():
        try:
            found = catalog.find(place.folder)
        except ModelError:  # of a kind that is not rendered with
            continue
        if not json:
            show_line("")
        _show({"name": place.name, **_facts(found), "bytes": _bytes(found)}, json=json)


@group.command()
def inspect(
    path: Annotated[str, typer.Argument(help="A folder or a .safetensors file.", metavar="PATH")],
    *,
    prediction: Annotated[
        Told | None, typer.Option("--prediction", help="What it predicts, where it cannot tell.")
    ] = None,
    distilled: Annotated[
        Distilled | None, typer.Option("--distilled", help="How it was distilled, likewise.")
    ] = None,
    part: PartOption = None,
    json: JsonFlag = False,
) -> None:
    """Tell what a checkpoint is, from its headers alone: family, prediction, size, what is missing."""
    found = catalog.find(path, prediction=prediction, distilled=distilled, parts=parts_of(part))
    parts = [found.part(role) for role in found.classes if not role.startswith("tokenizer")]
    headers = list({one.path: one for part in parts for one in part.headers()}.values())
    lacks = sorted(found.family.roles.keys() - found.classes.keys())
    facts = {
        "name": found.name,
        "layout": "single file" if found.file is not None else "diffusers folder",
        **_facts(found),
        "parameters": sum(part.parameters() for part in parts),
        "precision": ", ".join(_precisions(headers)),
        "bytes": sum(header.path.stat().st_size for header in headers),
        "parts": ", ".join(role for role in found.classes if not role.startswith("tokenizer")),
        "missing": ", ".join(lacks) or "nothing",
        "licence": _licence(headers),
    }
    if json:
        notices = [{"code": one.code, "message": one.message} for one in found.notices]
        show_json({**facts, "notices": notices})
        return
    show_notices(found.notices)
    _show(facts, json=False)


def _facts(found: Checkpoint) -> dict[str, Any]:
    return {
        "family": found.family.name,
        "prediction": found.schedule.prediction,
        "distilled": found.distilled,
        "sampler": found.defaults.sampler,
        "guidance_scale": found.defaults.guidance_scale,
        "steps": found.defaults.steps_over_all,
        "comfortable_px": found.defaults.comfortable_area,
    }


def _show(facts: dict[str, Any], *, json: bool) -> None:
    if json:
        show_json(facts)
        return
    written = {name: value for name, value in facts.items() if value is not None}
    written["bytes"] = f"{facts['bytes'] / 1e6:.1f} MB"
    if "parameters" in written:
        written["parameters"] = f"{facts['parameters'] / 1e6:.1f} M"
    show_pairs(written)


def _precisions(headers: list[Header]) -> list[str]:
    counts = Counter[str]()
    for header in headers:
        counts[header.precision] += header.parameters
    return [name for name, _ in counts.most_common()]


def _licence(headers: list[Header]) -> str | None:
    return next(
        (said for header in headers if (said := header.metadata.get("modelspec.license"))), None
    )


def _bytes(found: Checkpoint) -> int:
    return sum(path.stat().st_size for path in found.folder.rglob("*") if path.is_file())
