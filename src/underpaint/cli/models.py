"""``underpaint models``: what is shipped, and what a checkpoint on disk is."""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from underpaint.cli.options import JsonFlag, PartOption, parts_of
from underpaint.cli.reporting import printable, show_json, show_line, show_notices, show_pairs
from underpaint.errors import ModelError
from underpaint.models import catalog
from underpaint.models.catalog import Checkpoint
from underpaint.models.families import FAMILIES
from underpaint.models.headers import Header
from underpaint.models.hub import cached
from underpaint.models.known import KNOWN, KnownModel, Licence, licence_of
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
    here = [_facts_on_disk(found) for found in _on_disk()]
    names = {facts["name"].partition("@")[0] for facts in here}
    there = [_facts_of_known(one) for one in KNOWN if one.name not in names]
    if json:
        for facts in (*here, *there):
            show_json(facts)
        return
    incomplete = not all(facts["complete"] for facts in here)
    show_line(f"on this disk{' (+ some weights are still to be fetched)' if incomplete else ''}")
    for line in _table(here):
        show_line(line)
    if there:
        show_line("")
        show_line(
            "the hub has, among others (--model NAME fetches it; * asks you to accept its terms)"
        )
        for line in _table(there):
            show_line(line)


def _on_disk() -> Iterator[Checkpoint]:
    for name in catalog.SHIPPED:
        yield catalog.find(name)
    for place in cached():
        try:
            yield catalog.find_cached(place)
        except ModelError:  # of a kind that is not rendered with
            continue


def _facts_on_disk(found: Checkpoint) -> dict[str, Any]:
    return {
        "name": found.name,
        "on_disk": True,
        **_facts(found),
        "bytes": sum(one.stat().st_size for one in found.folder.rglob("*") if one.is_file()),
        "complete": _is_complete(found),
        **_licence(licence_of(found)),
        "gated": False,
    }


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
        "comfortable_px": one.family.native_px**2,
        "bytes": round(one.gigabytes * 1e9),
        "complete": False,
        **_licence(Licence(one.licence, "hub")),
        "gated": one.gated,
    }


def _licence(licence: Licence) -> dict[str, str]:
    return {"licence": licence.name, "licence_source": licence.source}


def _is_complete(found: Checkpoint) -> bool:
    """Whether all of its weights are there and sound."""
    try:
        for role in found.classes:
            if not role.startswith("tokenizer"):
                found.part(role).headers()
    except ModelError:
        return False
    return True


def _table(models: list[dict[str, Any]]) -> Iterator[str]:
    """One line a model under the name of its family, after a line of heads."""
    ordered = sorted(models, key=lambda facts: list(FAMILIES).index(facts["family"]))
    rows = [
        (
            _short(facts["name"]) + _mark(facts),
            _size(facts["bytes"]),
            str(facts["steps"]),
            f"{facts['guidance_scale']:g}",
            str(Licence(facts["licence"], facts["licence_source"])).removesuffix("-license"),
        )
        for facts in ordered
    ]
    heads = ("", "size", "steps", "guidance", "licence")
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    family = None
    for row, facts in zip((heads, *rows), ({}, *ordered), strict=True):
        if facts.get("family") != family:
            family = facts["family"]
            yield f" {family}"
        name, *numbers, licence = (
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        )
        yield printable("  ".join((" ", name, *numbers, licence)).rstrip())


def _mark(facts: dict[str, Any]) -> str:
    if facts["on_disk"]:
        return "" if facts["complete"] else "+"
    return "*" if facts["gated"] else ""


def _short(name: str) -> str:
    name, at, commit = name.partition("@")
    return name + at + commit[:7]


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


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
        **_licence(licence_of(found)),
    }
    if json:
        notices = [{"code": one.code, "message": one.message} for one in found.notices]
        show_json({**facts, "notices": notices})
        return
    show_notices(found.notices)
    show_pairs(_written(facts))


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


def _written(facts: dict[str, Any]) -> dict[str, object]:
    """The same for a person."""
    licence = Licence(facts["licence"], facts["licence_source"])
    return {
        **{name: value for name, value in facts.items() if name != "licence_source"},
        "parameters": f"{facts['parameters'] / 1e6:.1f} M",
        "bytes": _size(facts["bytes"]),
        "licence": licence,
    }


def _precisions(headers: list[Header]) -> list[str]:
    counts = Counter[str]()
    for header in headers:
        counts[header.precision] += header.parameters
    return [name for name, _ in counts.most_common()]
