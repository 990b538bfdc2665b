"""Embeddings of prompts against diffusers' own pipelines, on minute random text models."""

from typing import Any, Literal

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from tests.tiny_checkpoint import TOKENS, make_tiny_checkpoint
from underpaint.errors import RequestError
from underpaint.models.clip_text import (
    LARGEST_GROWTH,
    ClipWords,
    Embedding,
    TextModel,
    share_a_call,
    stacked,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers' own

ROOM = TOKENS - 2  # every letter is a token of this tokenizer
LAYERS = 5
SHORT = "oil painting, side"
PROMPTS = ["", SHORT, "Ünder the SKY!", "a" * ROOM]
SKIPS = [None, 1, 2]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    folder = make_tiny_checkpoint(tmp_path_factory.mktemp("clip") / "tiny")
    return CLIPTokenizer.from_pretrained(folder / "tokenizer")


@pytest.fixture(scope="module")
def other_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    """Pads with an exclamation mark, as OpenCLIP's in SD 2.x and SDXL do."""
    folder = make_tiny_checkpoint(tmp_path_factory.mktemp("clip") / "other")
    return CLIPTokenizer.from_pretrained(folder / "tokenizer", pad_token="!")  # noqa: S106  no password


def network(kind: Any, *, seed: int, width: int = 32, activation: str = "quick_gelu") -> Any:
    torch.manual_seed(seed)
    made = kind(
        CLIPTextConfig(
            vocab_size=514,
            hidden_size=width,
            intermediate_size=64,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            max_position_embeddings=TOKENS,
            bos_token_id=512,
            eos_token_id=513,
            pad_token_id=513,
            projection_dim=24,
            hidden_act=activation,
        )
    )
    for name, weight in made.named_parameters():
        if "layer_norm" in name:  # as initialised a norm hardly shows whether it was applied
            torch.nn.init.normal_(weight, mean=float(name.endswith("weight")), std=0.3)
    return made.eval()


@pytest.fixture(scope="module")
def first(tokenizer: CLIPTokenizer) -> TextModel:
    return TextModel(tokenizer, network(CLIPTextModel, seed=1))


@pytest.fixture(scope="module")
def second(other_tokenizer: CLIPTokenizer) -> TextModel:
    projecting = network(CLIPTextModelWithProjection, seed=2, width=48, activation="gelu")
    return TextModel(other_tokenizer, projecting)


@pytest.fixture(scope="module")
def sd1(first: TextModel) -> ClipWords:
    return ClipWords((first,))


@pytest.fixture(scope="module")
def sdxl(first: TextModel, second: TextModel) -> ClipWords:
    return ClipWords((first, second), layer="penultimate")


def sd1_pipeline(model: TextModel) -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=None, text_encoder=model.network, tokenizer=model.tokenizer, unet=None, scheduler=None,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def sdxl_pipeline(models: tuple[TextModel | None, TextModel]) -> StableDiffusionXLPipeline:
    one, two = models
    return StableDiffusionXLPipeline(
        vae=None, text_encoder=one and one.network, text_encoder_2=two.network,
        tokenizer=one and one.tokenizer, tokenizer_2=two.tokenizer, unet=None, scheduler=None,
    )  # fmt: skip


def spaced(letters: str) -> str:
    """Each letter a word and a token of its own, so that a chunk may end behind any of them."""
    return letters if " " in letters else " ".join(letters)


def encoded(words: ClipWords, text: str, *, skip: int | None = None) -> Embedding:
    embedding, notices = words.encode(text, clip_skip=skip or 0)
    assert notices == ()
    return embedding


def same(one: Tensor | None, other: Tensor) -> None:
    assert one is not None
    assert one.dtype == torch.float32
    assert torch.equal(one, other)
    assert one.std() > 0.1  # and there is something to compare


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("pad", ["end", "other"])
def test_a_short_plain_prompt_is_diffusers_own_bit_for_bit(
    prompt: str, skip: int | None, pad: Literal["end", "other"],
    first: TextModel, other_tokenizer: CLIPTokenizer, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    model = first if pad == "end" else TextModel(other_tokenizer, first.network)
    if not hasattr(model.network, "text_model"):
        # This pipeline looks for the name that the model had before transformers 5.6.
        monkeypatch.setattr(CLIPTextModel, "text_model", property(lambda own: own), raising=False)
    with torch.inference_mode():
        theirs, _ = sd1_pipeline(model).encode_prompt(
            prompt, "cpu", 1, do_classifier_free_guidance=False, clip_skip=skip
        )
    ours = encoded(ClipWords((model,)), prompt, skip=skip)
    same(ours.words, theirs)
    assert ours.pooled is None


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("prompt", PROMPTS)
def test_two_text_models_lie_side_by_side_as_in_sdxl(
    prompt: str, skip: int | None, sdxl: ClipWords
) -> None:
    one, two = sdxl.models
    with torch.inference_mode():
        theirs, _, pooled, _ = sdxl_pipeline((one, two)).encode_prompt(
            prompt, device="cpu", do_classifier_free_guidance=False, clip_skip=skip
        )
    ours = encoded(sdxl, prompt, skip=skip)
    same(ours.words, theirs)
    same(ours.pooled, pooled)


def test_the_refiner_reads_with_the_second_alone(second: TextModel) -> None:
    with torch.inference_mode():
        theirs, _, pooled, _ = sdxl_pipeline((None, second)).encode_prompt(
            SHORT, device="cpu", do_classifier_free_guidance=False
        )
    ours = encoded(ClipWords((second,), layer="penultimate"), SHORT)
    same(ours.words, theirs)
    same(ours.pooled, pooled)


def test_pooled_vectors_of_two_projections_follow_one_another(second: TextModel) -> None:
    alone = encoded(ClipWords((second,), layer="penultimate"), SHORT).pooled
    assert alone is not None
    both = encoded(ClipWords((second, second), layer="penultimate"), SHORT)
    same(both.pooled, torch.cat([alone, alone], dim=-1))


def test_a_model_of_one_chunk_truncates_as_diffusers_does(first: TextModel) -> None:
    text = "a, " * 5 + "b" * ROOM
    with torch.inference_mode():
        theirs, _ = sd1_pipeline(first).encode_prompt(
            text, "cpu", 1, do_classifier_free_guidance=False
        )
    embedding, (notice,) = ClipWords((first,), longest_chunks=1).encode(text)
    same(embedding.words, theirs)
    assert notice.code == "prompt-truncated"
    assert notice.message == (
        f"the model reads {ROOM} tokens of a prompt; left out: {'b' * 10!r}; shorten it, or put "
        "what matters first"
    )


@pytest.mark.parametrize("layer", ["last", "penultimate"])
@pytest.mark.parametrize("skip", [-1, LAYERS])
def test_skipping_more_layers_than_there_are_is_refused(
    layer: Literal["last", "penultimate"], skip: int, first: TextModel
) -> None:
    most = LAYERS - (1 if layer == "last" else 2)
    with pytest.raises(RequestError, match=rf"clip_skip must lie in \[0, {most}\].*got {skip}"):
        ClipWords((first,), layer=layer).encode("a", clip_skip=skip)


def chunks_of(words: ClipWords, text: str) -> list[Tensor]:
    return list(encoded(words, text).words.split(TOKENS, dim=1))


def test_a_long_prompt_is_its_chunks_one_after_another(sdxl: ClipWords) -> None:
    long = encoded(sdxl, spaced("a" * ROOM + "b" * ROOM + "c"))
    parts = [encoded(sdxl, spaced(text)) for text in ("a" * ROOM, "b" * ROOM, "c")]
    same(long.words, torch.cat([part.words for part in parts], dim=1))
    same(long.pooled, parts[0].pooled)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a" * 18 + ",bbb" + "c", ["a" * 18 + ",", "bbbc"]),  # a comma near the end
        ("a" * 21 + "," + "c", ["a" * 21 + ",", "c"]),  # at the very end
        ("a" * 22 + ",c", ["a" * 22, ",c"]),  # just beyond it
        ("a" * 17 + ",bbb," + "c", ["a" * 17 + ",bbb,", "c"]),  # the last of two
        ("a" * 16 + ",bbbbbc", ["a" * 16 + ",", "bbbbbc"]),  # the farthest that is reached
        ("a" * 15 + ",bbbbbbc", ["a" * 15 + ",bbbbbb", "c"]),  # too far: as full as can be
        ("a, b BREAK c", ["a, b", "c"]),
    ],
)
def test_a_chunk_ends_at_a_comma_within_reach_or_at_break(
    text: str, parts: list[str], sd1: ClipWords
) -> None:
    got = chunks_of(sd1, spaced(text))
    assert len(got) == len(parts)
    for chunk, part in zip(got, parts, strict=True):
        same(chunk, encoded(sd1, spaced(part)).words)


def test_a_limit_fills_the_last_chunk_and_names_what_it_leaves_out(first: TextModel) -> None:
    words = ClipWords((first,), longest_chunks=2)
    embedding, (notice,) = words.encode(spaced("a" * ROOM + "b" * 18 + "," + "c" * 3 + "ddd"))
    assert notice.code == "prompt-truncated"
    assert f"reads {2 * ROOM} tokens" in notice.message
    assert "left out: 'd d d'" in notice.message
    same(embedding.words[:, TOKENS:], encoded(ClipWords((first,)), spaced("b" * 18 + ",ccc")).words)


def test_a_model_of_one_chunk_takes_break_for_a_space_and_says_so(first: TextModel) -> None:
    embedding, (notice,) = ClipWords((first,), longest_chunks=1).encode("a BREAK (b:1.2)")
    assert notice.code == "break-ignored"
    same(embedding.words, encoded(ClipWords((first,)), "a (b:1.2)").words)


def test_weights_multiply_the_states_of_their_words_and_keep_the_mean_weight(
    sd1: ClipWords,
) -> None:
    plain, weighted = encoded(sd1, "a b c").words, encoded(sd1, "a (b:1.5) [c]").words
    factors = (weighted / plain).mean(-1)[0]  # one a token, the same in every channel
    torch.testing.assert_close(weighted, plain * factors[None, :, None])
    weights = torch.tensor([1, 1, 1.5, 1 / 1.1, *[1.0] * (TOKENS - 4)])
    torch.testing.assert_close(factors / factors[0], weights)
    assert float(factors.mean()) == pytest.approx(1)


def test_where_positions_have_one_mean_the_rule_is_the_web_uis(first: TextModel) -> None:
    network_of_one_mean = network(CLIPTextModel, seed=3)
    norm = getattr(network_of_one_mean, "text_model", network_of_one_mean).final_layer_norm
    torch.nn.init.constant_(norm.weight, 1.0)
    torch.nn.init.constant_(norm.bias, -0.1)
    words = ClipWords((TextModel(first.tokenizer, network_of_one_mean),))
    plain, ours = encoded(words, "a b c").words, encoded(words, "a (b c:1.4)").words
    multiplied = plain * torch.tensor([1, 1, 1.4, 1.4, *[1.0] * (TOKENS - 4)])[None, :, None]
    theirs = multiplied * (multiplied.mean() / plain.mean()) ** -1
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)  # means of float32 sums


def test_the_pooled_vector_knows_no_weights(sdxl: ClipWords) -> None:
    same(encoded(sdxl, "a (b:1.5)").pooled, encoded(sdxl, "a b").pooled)  # type: ignore[arg-type]


def test_escaped_brackets_and_weights_of_one_change_nothing(sd1: ClipWords) -> None:
    with torch.inference_mode():
        theirs, _ = sd1_pipeline(sd1.models[0]).encode_prompt(
            "a (b) [c]", "cpu", 1, do_classifier_free_guidance=False
        )
    same(encoded(sd1, r"a \(b\) (\[c\]:1)").words, theirs)


# --- rows of several lengths in one call ----------------------------------------------------------


def attended(queries: Tensor, words: Tensor) -> Tensor:
    return torch.nn.functional.scaled_dot_product_attention(queries, words, words)


def test_rows_of_several_lengths_answer_together_as_they_do_alone() -> None:
    torch.manual_seed(4)
    rows = [torch.randn(1, TOKENS * chunks, 16) for chunks in (1, 2, 3)]
    queries = torch.randn(3, 10, 16)
    together = attended(queries, stacked(rows))
    alone = torch.cat([attended(queries[i : i + 1], row) for i, row in enumerate(rows)])
    torch.testing.assert_close(together, alone)
    filled = torch.cat([rows[0], torch.zeros(1, TOKENS, 16)], dim=1)  # what padding would do
    assert not torch.allclose(attended(queries[:1], filled), alone[:1], rtol=0.1, atol=0.01)


def test_rows_of_one_length_are_only_laid_on_one_another() -> None:
    rows = [torch.full((1, TOKENS, 2), float(i)) for i in range(3)]
    assert torch.equal(stacked(rows), torch.cat(rows))


def test_rows_part_where_sharing_would_make_them_too_long() -> None:
    def rows(*chunks: int) -> list[Tensor]:
        return [torch.zeros(1, TOKENS * count, 1) for count in chunks]

    assert share_a_call(rows(1, 2, 3, 1)) == [[0, 1, 2, 3]]
    assert share_a_call(rows(5, 7, 5)) == [[0, 2], [1]]
    assert share_a_call(rows(4, 5)) == [[0, 1]]
    assert LARGEST_GROWTH * 5 == 4 * 5
    assert share_a_call([]) == []
