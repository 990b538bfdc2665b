"""Gesso's autoencoder begins as linear algebra: its encoder is a projection, its network a pair of rectifiers."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

pytest.importorskip("cv2")
pytest.importorskip("skimage")
from skimage.color import deltaE_ciede2000, rgb2lab

from tests.conftest import soft_picture
from training.autoencoder import new_autoencoder
from training.cielab import difference
from training.linear import (
    LATENT_CHANNELS,
    LinearAutoencoder,
    fill_network,
    half_whiten,
    start_at_components,
)


@pytest.fixture(scope="module")
def crops() -> Tensor:
    """Soft pictures with grain `[40, 3, 64, 64]`, -1...1."""
    rng = np.random.default_rng(0)
    pictures = [np.asarray(soft_picture(64, 64, seed=i), np.float32) for i in range(40)]
    grainy = np.stack(pictures) + rng.normal(0, 12, (40, 64, 64, 3))
    return torch.from_numpy(grainy / 127.5 - 1).permute(0, 3, 1, 2).float().clamp(-1, 1)


@pytest.fixture
def model(crops: Tensor) -> LinearAutoencoder:
    torch.manual_seed(0)
    made = LinearAutoencoder(LATENT_CHANNELS)
    start_at_components(made, crops)
    return made


@torch.no_grad()
def test_the_encoder_is_the_projection_onto_principal_components(
    model: LinearAutoencoder, crops: Tensor
) -> None:
    z = model.encode(crops).permute(0, 2, 3, 1).reshape(-1, LATENT_CHANNELS)
    patches = F.unfold(crops.add(1).div(2), 8, stride=8).transpose(1, 2).reshape(-1, 192)
    centred = patches - patches.mean(0)
    _, _, components = torch.linalg.svd(centred, full_matrices=False)
    wanted = centred @ components[:LATENT_CHANNELS].T
    wanted = wanted / wanted.std(0, correction=0)
    for ours, theirs in zip(z.T[:8], wanted.T[:8], strict=True):  # a component has no sign
        assert float((ours * theirs).mean().abs()) == pytest.approx(1, abs=2e-2)
    assert torch.allclose(z.T @ z / len(z), torch.eye(LATENT_CHANNELS), atol=2e-2)


@torch.no_grad()
def test_a_mixture_of_pictures_has_the_mixture_of_their_latents(
    model: LinearAutoencoder, crops: Tensor
) -> None:
    one, other = crops[:4], crops[4:8]
    mixed = model.encode(0.3 * one + 0.7 * other)
    assert torch.allclose(mixed, 0.3 * model.encode(one) + 0.7 * model.encode(other), atol=1e-3)


@torch.no_grad()
def test_half_white_latents_are_independent_ordered_and_give_the_same_picture(
    model: LinearAutoencoder, crops: Tensor
) -> None:
    before = model(crops[:4])
    deviations = half_whiten(model, crops)
    assert torch.allclose(model(crops[:4]), before, atol=1e-3)
    assert torch.all(deviations.diff() <= 0)
    assert float(deviations.square().mean()) == pytest.approx(1, rel=1e-4)
    z = model.encode(crops).permute(0, 2, 3, 1).reshape(-1, LATENT_CHANNELS) / deviations
    assert torch.allclose(z.T @ z / len(z), torch.eye(LATENT_CHANNELS), atol=2e-2)


@torch.no_grad()
def test_the_network_starts_with_the_linear_autoencoder_s_function(
    model: LinearAutoencoder, crops: Tensor
) -> None:
    half_whiten(model, crops)
    network = new_autoencoder().eval()
    fill_network(network, model)
    made = network.decode(network.encode(crops[:4]).latents).sample
    wanted = model(crops[:4])
    assert float((made - wanted).square().mean()) < 1e-3 * float(wanted.var())


def test_the_loss_sees_colours_as_ciede2000_does(crops: Tensor) -> None:
    torch.manual_seed(0)
    made = (crops + 0.05 * torch.randn_like(crops)).clamp(-1, 1)
    ours = difference(made, crops)
    one, other = (rgb2lab(p.permute(0, 2, 3, 1).numpy() / 2 + 0.5) for p in (made, crops))
    theirs = torch.from_numpy(deltaE_ciede2000(other, one))
    assert ours.mean().item() == pytest.approx(theirs.mean().item(), rel=0.1)
    assert torch.corrcoef(torch.stack([ours.double().flatten(), theirs.flatten()]))[0, 1] > 0.97


@pytest.mark.parametrize("level", [-1.0, 0.0, 1.0])
def test_equal_colours_have_no_difference_and_no_slope(level: float) -> None:
    wanted = torch.full((1, 3, 4, 4), level)
    made = wanted.clone().requires_grad_()
    seen = difference(made, wanted)
    seen.sum().backward()
    assert seen.abs().max() == 0
    assert made.grad is not None
    assert made.grad.abs().max() == 0
