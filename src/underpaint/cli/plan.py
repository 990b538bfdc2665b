"""``underpaint plan``."""

from dataclasses import asdict

from underpaint.cli.destinations import destinations
from underpaint.cli.options import Wish, command_of, read_source
from underpaint.cli.reporting import facts_of, show_json, show_notices, show_pairs
from underpaint.models import catalog
from underpaint.planning import Resolved, resolve


def plan(wish: Wish) -> None:
    """Show what render would do with the same words, and do nothing; loads no model."""
    asked = wish.request()
    checkpoint = catalog.find(wish.model)
    picture = read_source(wish.source)
    resolved = resolve(asked, checkpoint, picture.size, notices=picture.notices)
    if wish.output is not None:
        destinations(
            wish.output,
            source=wish.source,
            seed=resolved.request.seed or 0,
            count=asked.count,
            overwrite=wish.overwrite,
            as_json=wish.json,
        )
    if wish.json:
        _show_as_json(wish, resolved)
    else:
        _show(wish, resolved)


command = command_of(plan)


def _show_as_json(wish: Wish, resolved: Resolved) -> None:
    show_json(
        {
            "source": wish.source,
            **facts_of(resolved),
            "seed": wish.seed,
            "count": wish.count,
            "levels": [asdict(level) for level in resolved.plan.levels],
        }
    )


def _show(wish: Wish, resolved: Resolved) -> None:
    made, request, start = resolved.plan, resolved.request, resolved.plan.start
    show_pairs(
        {
            "source": wish.source,
            "result": f"{resolved.size}, {request.count} of them" if request.count > 1
            else str(resolved.size),
            "rendered at": resolved.working_size,
            "strength": f"{request.strength:g}",
            "start": f"alpha {start.alpha:.4f}, sigma {start.sigma:.4f}: {start.signal_share:.1%} "
            "of the source's signal",
            "steps": f"{made.evaluations} evaluations of the network",
            "sampler": f"{request.sampler}, spacing {request.spacing}",
            "guidance": f"{request.guidance_scale:g}",
            "model": request.model,
            "sigmas": " ".join(f"{level.sigma:.4f}" for level in made.levels) or "none",
        }
    )  # fmt: skip
    show_notices(made.notices)
