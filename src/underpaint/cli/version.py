"""``underpaint version``."""

import platform
from importlib.metadata import version

from underpaint.cli.options import JsonFlag
from underpaint.cli.reporting import show_json, show_pairs
from underpaint.recipe import VERSIONS_THAT_DECIDE


def command(*, json: JsonFlag = False) -> None:
    """Show the versions that decide what a picture looks like."""
    versions = {name: version(name) for name in VERSIONS_THAT_DECIDE}
    facts = {**versions, "python": platform.python_version()}
    if json:
        show_json(facts)
    else:
        show_pairs(facts)
