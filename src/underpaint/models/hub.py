"""Models by their name on a hub: fetched once, pinned to a commit, read from the cache when offline.

``owner/name`` or ``owner/name@revision``. Everything about downloads, resuming and tokens is
huggingface_hub's; what is here is which files are needed, and one sentence a failure.
"""

import errno
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from underpaint.errors import ModelError
from underpaint.models.headers import GGUF_ENDING, HALF_VARIANTS, PICKLE_ENDINGS

_HALF = r"\w(?:[\w.-]{0,94}\w)?"  # so no name begins like a path
_NAME = re.compile(rf"(?P<repo>{_HALF}/{_HALF})(@(?P<revision>[\w./-]{{1,128}}))?", re.ASCII)
_SMALL = ("*.json", "*/*.json", "*/*.txt", "*/*.model", "README.md")  # which tells the licence
# What repositories hold beside: other precisions, running means, other frameworks.
_OTHERS = (
    *(f"*.{variant}*" for variant in HALF_VARIANTS),
    "*non_ema*", "*.msgpack", "*.bin", "*.onnx*",
)  # fmt: skip
_ON_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS})


@dataclass(frozen=True, slots=True)
class HubPlace:
    """Where a model of a hub is cached.

    Attributes:
        repo: ``owner/name``.
        commit: Its revision, in full.
        folder: The snapshot in the cache.
        asked: The tag, branch or commit that led there; None where none was named.
    """

    repo: str
    commit: str
    folder: Path
    asked: str | None = None

    @property
    def name(self) -> str:
        """What finds exactly this again."""
        return f"{self.repo}@{self.commit}"


def is_hub_name(text: str) -> bool:
    """Whether it can be a hub's name for a model, and no path that is there or meant."""
    if Path(text).suffix in {".safetensors", GGUF_ENDING, *PICKLE_ENDINGS}:
        return False
    return _NAME.fullmatch(text) is not None and not Path(text).exists()


def names(text: str, place: HubPlace) -> bool:
    """Whether ``text`` is a name of this model: without a revision, with its commit, or with what led there."""
    found = _NAME.fullmatch(text)
    if found is None or found["repo"] != place.repo:
        return False
    revision = found["revision"]
    return revision in {None, place.asked} or place.commit.startswith(revision)


def cached() -> list[HubPlace]:
    """The models of a hub that are in the cache, the latest revision of each, by name; no network."""
    import huggingface_hub  # noqa: PLC0415  only where a hub is asked
    from huggingface_hub.errors import CacheNotFound  # noqa: PLC0415

    try:
        found = cast("Any", huggingface_hub).scan_cache_dir().repos
    except CacheNotFound:
        return []
    places: list[HubPlace] = []
    for repo in sorted(found, key=lambda one: str(one.repo_id)):
        if repo.repo_type != "model" or not repo.revisions:
            continue
        latest = max(repo.revisions, key=lambda one: float(one.last_modified))
        folder = Path(latest.snapshot_path)
        if (folder / "model_index.json").is_file():
            places.append(HubPlace(str(repo.repo_id), str(latest.commit_hash), folder))
    return places


def find(text: str) -> HubPlace:
    """The model's small files, fetched or from the cache; its weights come with ``fetch_weights``.

    Raises:
        ModelError: there is no such model or revision, it needs a token, or nothing answers and it
            is not in the cache.
    """
    found = _NAME.fullmatch(text)
    assert found is not None  # noqa: S101  is_hub_name was asked
    folder = _snapshot(found["repo"], found["revision"], _SMALL)
    return HubPlace(found["repo"], folder.name, folder, found["revision"])


def fetch_part(text: str) -> HubPlace:
    """One network that has a repository of its own, such as an autoencoder, weights and all.

    Raises:
        ModelError: as ``find``.
    """
    found = _NAME.fullmatch(text)
    assert found is not None  # noqa: S101  is_hub_name was asked
    files = ("*.json", "*.txt", "diffusion_pytorch_model*.safetensors", "model*.safetensors")
    folder = _snapshot(found["repo"], found["revision"], files)
    return HubPlace(found["repo"], folder.name, folder, found["revision"])


def fetch_weights(place: HubPlace, roles: Sequence[str]) -> None:
    """Fetches the safetensors of those roles, in half precision only where there is no other.

    Raises:
        ModelError: as ``find``.
    """
    patterns = [f"{role}/*.safetensors*" for role in roles]
    _snapshot(place.repo, place.commit, patterns)
    for half in HALF_VARIANTS:
        lacking = [role for role in roles if not any((place.folder / role).glob("*.safetensors"))]
        names = (f"*.{half}*.safetensors", f"*.safetensors.index.{half}.json")
        if lacking:
            halves = [f"{role}/{name}" for role in lacking for name in names]
            _snapshot(place.repo, place.commit, halves, ignored=())


def _snapshot(
    repo: str, revision: str | None, wanted: Sequence[str], ignored: Sequence[str] = _OTHERS
) -> Path:
    import huggingface_hub  # noqa: PLC0415  only where a hub is asked
    from huggingface_hub.errors import (  # noqa: PLC0415
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    download = cast("Any", huggingface_hub).snapshot_download
    try:
        folder = download(
            repo, revision=revision, allow_patterns=list(wanted), ignore_patterns=list(ignored)
        )
        return Path(folder)
    except GatedRepoError:
        raise ModelError(
            f"the model {repo} asks you to accept its terms: do so on its page, then log in with "
            "`hf auth login` or set HF_TOKEN"
        ) from None
    except RevisionNotFoundError:
        raise ModelError(
            f"the model {repo} has no revision {revision!r}; leave it out for the latest"
        ) from None
    except (RepositoryNotFoundError, HFValidationError):
        raise ModelError(
            f"no folder and no model on the hub is called {repo!r}, or it is private and needs "
            "HF_TOKEN; check its spelling"
        ) from None
    except (
        OfflineModeIsEnabled,
        LocalEntryNotFoundError,
        OSError,
        RuntimeError,
        _http(),
    ) as problem:
        if isinstance(problem, OSError) and (problem.errno in _ON_DISK or problem.filename):
            raise ModelError(
                f"the model {repo} cannot be cached ({problem.strerror}); free some space, or set "
                "HF_HOME to another folder"
            ) from None
        raise ModelError(
            f"no folder is called {repo!r}, and as a model of the hub it is not in the cache and the "
            "hub does not answer; connect, or give a folder or a file that is there"
        ) from None


def _http() -> type[Exception]:
    """What the hub's HTTP library raises, whichever that is: httpx's errors are no OSErrors."""
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415  only where a hub is asked

    own = [one for one in HfHubHTTPError.__mro__ if one.__name__ == "HTTPError"]
    return own[0] if own and issubclass(own[0], Exception) else HfHubHTTPError
