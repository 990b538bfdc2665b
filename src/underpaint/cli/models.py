"""``underpaint models``: what is shipped, and what a checkpoint on disk is."""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from underpaint.cli.options import JsonFlag, PartOption, parts_of
from underpaint.cli.reporting import show_json, show_line, show_notices, show_pairs
from underpaint.errors import ModelError
from underpaint.models import catalog
from underpaint.models.catalog import Checkpoint
from underpaint.models.headers import Header
from underpaint.models.hub import cached
from underpaint.models.known import KNOWN, KnownModel, licence_of
from underpaint.models.preferences import suited
from underpaint.request import Distilled, Told

group = typer.Typer(invoke_without_command=True, help="List models, or inspect one on disk.")


@group.callback()
def command(context: typer.Context, *, json: JsonFlag = False) -> None:
    """List the models on this disk and some that the hub has: size, licence, steps and guidance.

    Folders and single files work as well, wherever they lie; the hub is not asked.
    """
    if context.invoked_subcommand is not None:
        return
    here = [
        {
            "name": name,
            "on_disk": True,
            **_facts(found),
            "bytes": _bytes(found),
            "licence": licence_of(name, found.folder),
        }
        for name, found in _on_disk()
    ]
    there = [_facts_of_known(one) for one in KNOWN if not _is_here(one, here)]
    if json:
        for facts in (*here, *there):
            show_json(facts)
        return
    show_line("on this disk")
    for line in _table(here):
        show_line(line)
    show_line(
        "\nthe hub has, among others (--model NAME fetches it; * asks you to accept its terms)"
    )
    for line in _table(there):
        show_line(line)


def _on_disk() -> Iterator[tuple[str, Checkpoint]]:
    for name in catalog.SHIPPED:
        yield name, catalog.find(name)
    for place in cached():
        try:
            yield place.name, catalog.find(place.folder)
        except ModelError:  # of a kind that is not rendered with
            continue


def _is_here(one: KnownModel, here: list[dict[str, Any]]) -> bool:
    return any(facts["name"].partition("@")[0] == one.name for facts in here)


def _facts_of_known(one: KnownModel) -> dict[str, Any]:
    steps, scale, sampler = suited(one.family, one.distilled)
    return {
        "name": one.name,
        "on_disk": False,
        "family": one.family_name,
        "distilled": one.distilled,
        "sampler": sampler,
        "guidance_scale": scale,
        "steps": steps,
        "bytes": one.size_bytes,
        "licence": one.licence,
        "gated": one.gated,
    }


def _table(models: list[dict[str, Any]]) -> Iterator[str]:
    """One line a model under the name of its family, after a line of heads."""
    rows = [
        (
            _short(facts["name"]) + ("*" if facts.get("gated") else ""),
            _size(facts["bytes"]),
            facts["licence"] or "not told",
            str(facts["steps"]),
            f"{facts['guidance_scale']:g}",
        )
        for facts in models
    ]
    heads = ("", "size", "licence", "steps", "guidance")
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    family = None
    for row, facts in zip((heads, *rows), ({}, *models), strict=True):
        if facts.get("family") != family:
            family = facts["family"]
            yield f"  {family}"
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "    " + "  ".join(cells).rstrip()


def _short(name: str) -> str:
    name, at, commit = name.partition("@")
    return name + at + commit[:7]


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


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
        "licence": _licence(headers) or licence_of(found.name, found.folder),
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
