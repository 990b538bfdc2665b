"""Models by a hub's name, through the real command line against a stand-in hub on this machine."""

import errno
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub.errors import HfHubHTTPError
from PIL import Image
from safetensors.torch import load_file

from tests.surfaces.hub_server import COMMIT, OWN, TAG, Hub, serving
from tests.tiny_checkpoint import make_tiny_checkpoint
from underpaint.errors import ModelError
from underpaint.models import hub as hub_names
from underpaint.origins import recipe_of


def transport_error() -> Exception:
    """What the hub's HTTP library raises when a connection breaks: httpx's of its own, requests' an OSError."""
    library = importlib.import_module(HfHubHTTPError.__mro__[1].__module__.split(".")[0])
    return getattr(library, "ReadError", OSError)("the connection broke")


@pytest.fixture
def hub(tiny: Path, tmp_path: Path) -> Iterator[Hub]:
    folder = tmp_path / "repository"
    shutil.copytree(tiny, folder)
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x02")
    (folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"not asked for")
    (folder / "README.md").write_text("---\nlicense: bsd-2-clause\n---\n# tiny")
    (folder / "HISTORY.md").write_text("# not asked for")
    with serving(folder) as served:
        yield served


def underpaint(
    hub: Hub, cache: Path, *words: object, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "underpaint", *map(str, words)],
        cwd=cache, capture_output=True, text=True, check=False,
        env={
            **os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(cache / "hf"),
            "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", **env,
        },
    )  # fmt: skip


def rendered(hub: Hub, cache: Path, scene: Path, name: str, **env: str) -> dict[str, Any]:
    words = ("render", scene, "oil", "-n", 1, "--seed", 1, "-m", OWN, "-o", name, "--json")
    done = underpaint(hub, cache, *words, **env)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def test_a_model_of_the_hub_is_fetched_once_pinned_and_then_read_offline(
    hub: Hub, scene: Path, tmp_path: Path
) -> None:
    first = rendered(hub, tmp_path, scene, "a.png")
    assert first["model"] == f"{OWN}@{COMMIT}"
    fetched = {name for name in hub.asked if name.endswith((".safetensors", ".bin", ".md"))}
    assert fetched == {
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "README.md",  # which tells the licence
    }
    hub.asked.clear()
    rendered(hub, tmp_path, scene, "b.png", HF_HUB_OFFLINE="1")
    assert hub.asked == []
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    again = underpaint(hub, tmp_path, "replay", "a.png", "--source", scene, HF_HUB_OFFLINE="1")
    assert again.returncode == 0, again.stderr
    assert "every byte is the same" in again.stdout


@pytest.mark.parametrize("revision", [TAG, "main", COMMIT])
def test_a_revision_may_be_a_tag_a_branch_or_a_commit(
    hub: Hub, scene: Path, tmp_path: Path, revision: str
) -> None:
    words = ("render", scene, "oil", "-n", 1, "--seed", 1, "-m", f"{OWN}@{revision}", "--json")
    done = underpaint(hub, tmp_path, *words, "-o", "a.png")
    assert done.returncode == 0, done.stderr + done.stdout
    assert json.loads(done.stdout)["model"] == f"{OWN}@{COMMIT}"


def test_a_repository_that_is_no_whole_model_is_refused_by_its_name(
    tiny: Path, scene: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(tiny / "vae", repository)
    with serving(repository) as hub:
        done = underpaint(hub, tmp_path, "plan", scene, "oil", "-m", OWN)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: {OWN} on the hub is no whole model in the diffusers layout")


def test_what_is_in_the_cache_is_listed_without_a_network(
    hub: Hub, scene: Path, tmp_path: Path
) -> None:
    nothing = underpaint(hub, tmp_path, "models", "--json")
    assert (nothing.returncode, nothing.stderr) == (0, "")
    rendered(hub, tmp_path, scene, "a.png")
    hub.asked.clear()
    done = underpaint(hub, tmp_path, "models", "--json")
    listed = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["name"] for one in listed if one["on_disk"]] == ["gesso", f"{OWN}@{COMMIT}"]
    tiny = listed[1]
    assert (tiny["licence"], tiny["licence_source"]) == ("bsd-2-clause", "card")
    assert tiny["complete"]
    assert hub.asked == []


def test_a_model_whose_weights_were_not_fetched_yet_is_listed_as_incomplete(
    hub: Hub, scene: Path, tmp_path: Path
) -> None:
    assert underpaint(hub, tmp_path, "plan", scene, "oil", "-m", OWN).returncode == 0
    done = underpaint(hub, tmp_path, "models", "--json")
    (tiny,) = (one for one in map(json.loads, done.stdout.splitlines()) if OWN in one["name"])
    assert (tiny["on_disk"], tiny["complete"]) == (True, False)
    shown = underpaint(hub, tmp_path, "models").stdout
    assert f"{OWN}@{COMMIT[:7]}+" in shown
    assert "some weights are still to be fetched" in shown


def test_a_plan_fetches_no_weights(hub: Hub, scene: Path, tmp_path: Path) -> None:
    done = underpaint(hub, tmp_path, "plan", scene, "oil", "-m", OWN, "--json")
    assert done.returncode == 0, done.stderr
    assert not [name for name in hub.asked if name.endswith(".safetensors")]


def test_a_connection_that_breaks_is_taken_up_again(hub: Hub, scene: Path, tmp_path: Path) -> None:
    hub.breaks_after = 1000
    rendered(hub, tmp_path, scene, "a.png")
    fetched = [name for name in hub.asked if ".safetensors" in name]
    assert len(fetched) == 4  # three files, of which the first broke off


def test_half_precision_is_taken_where_there_is_no_other(
    hub: Hub, scene: Path, tmp_path: Path
) -> None:
    for part in ("unet", "vae", "text_encoder"):
        (file,) = (
            one for one in (hub.folder / part).glob("*.safetensors") if ".fp16" not in one.name
        )
        file.replace(file.with_name(file.name.replace(".safetensors", ".fp16.safetensors")))
    rendered(hub, tmp_path, scene, "a.png")


def test_shards_in_half_precision_come_with_their_index_or_not_at_all(
    hub: Hub, scene: Path, tmp_path: Path
) -> None:
    whole = hub.folder / "unet" / "diffusion_pytorch_model.safetensors"
    (hub.folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").unlink()
    shard = whole.with_name("diffusion_pytorch_model.fp16-00001-of-00001.safetensors")
    shutil.copyfile(whole, shard)
    places = dict.fromkeys(load_file(whole), shard.name)
    index = whole.with_name("diffusion_pytorch_model.safetensors.index.fp16.json")
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    rendered(hub, tmp_path, scene, "a.png")
    assert not [name for name in hub.asked if "fp16" in name]
    whole.unlink()
    hub.asked.clear()
    (tmp_path / "other").mkdir()
    rendered(hub, tmp_path / "other", scene, "b.png")
    assert {f"unet/{shard.name}", f"unet/{index.name}"} <= set(hub.asked)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "free some space"),
        (transport_error(), "the hub does not answer"),
        (RuntimeError("Data processing error"), "the hub does not answer"),
    ],
)
def test_a_download_that_ends_early_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, words: str
) -> None:
    def download(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(ModelError, match=words):
        hub_names.find(OWN)


def test_a_name_that_no_hub_takes_is_one_sentence() -> None:
    for name in ("some--one/x", "a/b..c", "a/b.git"):
        with pytest.raises(ModelError, match="no folder and no model on the hub"):
            hub_names.find(name)


@pytest.mark.parametrize(
    ("name", "gated", "words"),
    [
        (OWN, True, "accept its terms"),
        (f"{OWN}@nowhere", False, "no revision 'nowhere'"),
        ("someone/else", False, "no folder and no model on the hub"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(
    hub: Hub, scene: Path, tmp_path: Path, name: str, *, gated: bool, words: str
) -> None:
    hub.gated = gated
    done = underpaint(hub, tmp_path, "plan", scene, "oil", "-m", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_offline_and_not_in_the_cache_is_one_sentence(
    hub: Hub, scene: Path, tmp_path: Path
) -> None:
    done = underpaint(hub, tmp_path, "plan", scene, "oil", "-m", OWN, HF_HUB_OFFLINE="1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "not in the cache" in done.stderr
    assert done.stderr.count("\n") == 1
    assert hub.asked == []


def test_an_autoencoder_with_a_repository_of_its_own_takes_the_place_of_the_models(
    tiny: Path, scene: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(make_tiny_checkpoint(tmp_path / "other", seed=9) / "vae", repository)
    (repository / "taesd_decoder.safetensors").write_bytes(b"for other programs")
    words = ("render", scene, "oil", "-n", 1, "--seed", 1, "-m", tiny, "--json")
    with serving(repository) as hub:
        done = underpaint(hub, tmp_path, *words, "--part", f"vae={OWN}", "-o", "a.png")
        assert done.returncode == 0, done.stderr
        assert "taesd_decoder.safetensors" not in hub.asked
        (repository / "taesd_decoder.safetensors").unlink()
        beside = underpaint(hub, tmp_path, *words, "--part", f"vae={repository}", "-o", "b.png")
        assert beside.returncode == 0, beside.stderr
        tagged = underpaint(hub, tmp_path, *words, "--part", f"vae={OWN}@{TAG}", "-o", "c.png")
        assert tagged.returncode == 0, tagged.stderr + tagged.stdout
        again = ("replay", "a.png", "--source", scene, "-m", tiny)
        assert underpaint(hub, tmp_path, *again, HF_HUB_OFFLINE="1").returncode == 0
    assert recipe_of(tmp_path / "a.png").request.parts == {"vae": f"{OWN}@{COMMIT}"}
    assert np.array_equal(*(np.asarray(Image.open(tmp_path / name)) for name in ("a.png", "b.png")))
