"""``underpaint models``."""

from pathlib import Path

from underpaint.cli.options import JsonFlag
from underpaint.cli.reporting import show_json, show_pairs
from underpaint.models import catalog


def command(*, json: JsonFlag = False) -> None:
    """List the models that are shipped; any folder in the diffusers layout works as well."""
    for name in catalog.SHIPPED:
        found = catalog.find(name)
        size_bytes = _bytes_on_disk(found.folder)
        facts: dict[str, object] = {
            "name": name,
            "family": found.family.name,
            "bytes": size_bytes,
            "sampler": found.defaults.sampler,
            "guidance_scale": found.defaults.guidance_scale,
            "comfortable_px": found.defaults.comfortable_area,
            "prediction": found.schedule.prediction,
        }
        if json:
            show_json(facts)
        else:
            show_pairs({**facts, "bytes": f"{size_bytes / 1e6:.1f} MB"})


def _bytes_on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
