"""The small JSON files of a checkpoint, which anyone may have written."""

import json
from pathlib import Path
from typing import Any, cast

from underpaint.errors import ModelError

CONFIG_LIMIT_BYTES = 4 * 1024 * 1024  # real configs are a few kilobytes, vocabularies one or two MB


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON object from a checkpoint.

    Raises:
        ModelError: it is missing, not a regular file, too large or not an object.
    """
    place = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        raise ModelError(f"the checkpoint has no {place}; the diffusers layout needs it")
    if path.stat().st_size > CONFIG_LIMIT_BYTES:
        raise ModelError(f"{place} is larger than any real config; the checkpoint is damaged")
    try:
        content: object = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        raise ModelError(f"{place} is not JSON; the checkpoint is damaged") from None
    if not isinstance(content, dict):
        raise ModelError(f"{place} holds no JSON object; the checkpoint is damaged")
    return cast("dict[str, Any]", content)
