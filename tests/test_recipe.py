"""Recipes: what is written into a picture comes out again, whoever wrote the words."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from underpaint import Level, Notice, Plan, Recipe, RecipeError, Request
from underpaint.geometry import Size
from underpaint.infotext import Infotext, parse_infotext, write_infotext
from underpaint.levels import PICTURE
from underpaint.recipe import Build, ModelFacts, SourceFacts
from underpaint.xmp import read_packet, write_packet

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=80)
HARD_WORDS = [
    'a "quoted" \\ prompt, with: commas\nand lines',
    "]]> <!-- &amp; <b> ]]>",
    "שלום עולם \u202eRTL\u202c",
    "👩\u200d🎨 zero width joiner 🏳️\u200d🌈",
    "\ufffe\uffff \x01\x1f\x7f\x85\u2028",
    "\r\n\r windows",
    "</underpaint:recipe></rdf:Description>",
    "Negative prompt: not here",
]


def recipe(**changes: Any) -> Recipe:
    """A recipe with these fields of its request."""
    asked = {"prompt": "oil", "strength": 0.6, "steps": 2, "seed": 7, "model": "gesso"}
    asked |= {"sampler": "euler", "spacing": "model", "guidance_scale": 2.0} | changes
    return Recipe(
        request=Request(source=None, **asked),
        plan=Plan(
            Level(0.4, 0.6), (Level(0.4, 0.6), Level(0.7, 0.3), PICTURE), 2, (Notice("a", "b"),)
        ),
        source=SourceFacts("sketch.png", "ab" * 32, 64, 48),
        model=ModelFacts("gesso", "stable-diffusion", "cd" * 32),
        build=Build(
            underpaint="0.1.0",
            torch="2",
            diffusers="0",
            transformers="5",
            numpy="2",
            pillow="13",
            instruction_set="x86_64 AVX2",
            device="cpu",
            precision="float32",
            threads=2,
            rows_per_call=1,
        ),
        working_size=Size(64, 48),
        size=Size(128, 96),
    )


@given(
    prompt=WORDS,
    negative_prompt=WORDS,
    strength=st.floats(0, 1),
    seed=st.integers(0, 2**53 - 1),
    interval=st.sampled_from([(0.0, 1.0), (0.2, 0.8)]),
    size=st.sampled_from([None, "640x480"]),
)
def test_a_recipe_survives_its_packet(
    *,
    prompt: str,
    negative_prompt: str,
    strength: float,
    seed: int,
    interval: tuple[float, float],
    size: str | None,
) -> None:
    made = recipe(
        prompt=prompt,
        negative_prompt=negative_prompt,
        strength=strength,
        seed=seed,
        guidance_interval=interval,
        size=size,
    )
    assert Recipe.from_xmp(made.to_xmp()) == made


@pytest.mark.parametrize("words", HARD_WORDS)
def test_hard_words_survive_the_packet_and_its_bytes_are_always_the_same(words: str) -> None:
    made = recipe(prompt=words, negative_prompt=words)
    made = replace(made, source=replace(made.source, name=words))
    packet = made.to_xmp()
    assert Recipe.from_xmp(packet) == made
    assert recipe(prompt=words, negative_prompt=words).to_json() != made.to_json()
    assert replace(made).to_xmp() == packet


def test_a_recipe_names_no_folder_and_no_time() -> None:
    text = recipe().to_json()
    assert not re.search(r"/(home|root|tmp|Users)|\d{4}-\d\d-\d\d|seconds", text)


@pytest.mark.parametrize(
    ("strength", "kind"),
    [
        (0.0, None),  # no model ran, and where the source's pixels come from is not ours to say
        (0.01, "compositeWithTrainedAlgorithmicMedia"),
        (0.99, "compositeWithTrainedAlgorithmicMedia"),
        (1.0, "trainedAlgorithmicMedia"),
    ],
)
def test_the_packet_marks_the_picture_as_machine_made(strength: float, kind: str | None) -> None:
    made = recipe(strength=strength)
    if strength == 0:
        made = replace(made, plan=Plan(PICTURE, (), 0))
    said = read_packet(made.to_xmp()).digital_source_type
    base = "http://cv.iptc.org/newscodes/digitalsourcetype/"
    assert said == (kind and base + kind)


def test_a_packet_that_another_program_rewrote_with_attributes_is_read() -> None:
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        b'xmlns:u="urn:underpaint:ns:1.0/" u:recipe="{&quot;recipe&quot;:1}"/></rdf:RDF></x:xmpmeta>'
    )
    assert read_packet(packet).recipe == '{"recipe":1}'


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"no xml",
        b"<a><b></a>",
        b'<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY e "x">]><a/>'.encode(
            "utf-16"
        ),
        b"<a>" * 10_000,
        b"<a>" + b" " * (8 << 20) + b"</a>",
    ],
)
def test_a_foreign_packet_is_refused_without_expanding_anything(packet: bytes) -> None:
    with pytest.raises(ValueError, match=r"XMP|packet"):
        read_packet(packet)
    assert Recipe.from_xmp(packet) is None


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", '{"recipe":1}', '{"recipe":2}', "[" * 100_000, '{"recipe":[1,[2]]}'],
)
def test_a_damaged_recipe_is_one_sentence(text: str) -> None:
    with pytest.raises(RecipeError, match="recipe"):
        Recipe.from_xmp(write_packet(text, None))


def test_a_recipe_with_a_field_of_another_kind_is_refused() -> None:
    text = recipe().to_json()
    for old, new in [
        ('"strength":0.6', '"strength":7'),
        ('"alpha":0.4', '"alpha":0.4,"x":1'),
        ('"alpha":0.4', '"alpha":"x"'),
        ('"guidance_scale":2.0', '"guidance_scale":null'),
        ('"threads":2', '"threads":100000'),
        ('"width":64', '"breadth":64'),
        ('"size":[128,96]', '"size":[128]'),
        ('"prompt":"oil"', '"prompt":"oil","source":"/etc/passwd"'),
        ('"count":1', '"count":3'),
        ('"start":{"alpha":0.4,"sigma":0.6}', '"start":{"alpha":0.0,"sigma":0.0}'),
        ('"start":{"alpha":0.4,"sigma":0.6}', '"start":{"alpha":0.4,"sigma":1e200}'),
        ('"fidelity":null', '"fidelity":{"structure":1e999,"edges":1,"delta_e":0,"palette":0}'),
    ]:
        assert old in text
        with pytest.raises(RecipeError):
            Recipe.from_json(text.replace(old, new))


@pytest.mark.parametrize(
    "change",
    [
        ('"prompt":"oil"', '"prompt":"oil","mood":1'),
        ('"sampler":"euler"', '"sampler":"euler_9"'),
        ('"alpha":0.4', '"alpha":0.4,"x":1'),
    ],
)
def test_what_a_later_build_writes_is_no_damage(change: tuple[str, str]) -> None:
    text = recipe().to_json()
    assert change[0] in text
    with pytest.raises(RecipeError, match=r"(of another|by this) build"):
        Recipe.from_json(text.replace(*change))


def test_the_infotext_counts_layers_as_others_do_where_the_last_is_usual() -> None:
    made = recipe(clip_skip=1)
    assert "Clip skip: 2" in made.to_infotext()
    xl = replace(made, model=replace(made.model, family="stable-diffusion-xl"))
    assert "Clip skip" not in xl.to_infotext()


# --- what other programs read ---------------------------------------------------------------------


def test_the_infotext_is_the_web_uis() -> None:
    made = recipe(prompt="oil, a:b\nsecond line", negative_prompt="blur", sampler="dpmpp_2m")
    assert made.to_infotext() == (
        "oil, a:b\nsecond line\nNegative prompt: blur\n"
        "Steps: 2, Sampler: DPM++ 2M, Schedule type: Uniform, CFG scale: 2.0, Seed: 7, "
        "Size: 128x96, Model hash: cdcdcdcdcd, Model: gesso, Denoising strength: 0.6, "
        "Version: underpaint 0.1.0"
    )


def test_the_infotext_names_a_variation_as_the_web_ui_does() -> None:
    text = recipe(variation=0.2, variation_seed=9).to_infotext()
    assert "Seed: 7, Variation seed: 9, Variation seed strength: 0.2, Size" in text


def test_a_variation_without_its_seed_cannot_be_replayed() -> None:
    made = recipe(variation=0.2, variation_seed=9)
    assert Recipe.from_xmp(made.to_xmp()) == made
    with pytest.raises(RecipeError):
        Recipe.from_json(made.to_json().replace('"variation_seed":9', '"variation_seed":null'))


LINES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=40).map(
    str.strip
)
PROMPTS = st.lists(LINES.filter(lambda line: not line.startswith("Negative prompt:")), max_size=3)


@given(
    prompt=PROMPTS.map(lambda lines: "\n".join(lines).strip()),
    negative=PROMPTS.map(lambda lines: "\n".join(lines).strip()),
    model=st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    .map(str.strip)
    .filter(lambda name: not (name.startswith('"') or name.endswith('"'))),
)
@example(prompt="", negative="", model='a, "b": c\nd')
@example(prompt="Steps: 1, A b: 2, C d: 3, E f: 4", negative="", model="m")
def test_what_the_infotext_says_is_read_back(prompt: str, negative: str, model: str) -> None:
    settings = {"Steps": "3", "Sampler": "Euler a", "Model": model, "Seed": "1"}
    found = parse_infotext(write_infotext(Infotext(prompt, negative, settings)))
    assert (found.prompt, found.negative_prompt) == (prompt, negative)
    if not ("," not in model and ":" not in model and model != model.strip()):
        assert found.settings == settings


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("a picture\nSteps: 20, Sampler: Euler", {}),  # two pairs are words
        ("a picture\nSteps: 20, Sampler: Euler, Seed: 1", {"Steps": "20", "Sampler": "Euler", "Seed": "1"}),
        (
            'p\nSteps: 1, Lora hashes: "a: 1, b: 2", Seed: 4',
            {"Steps": "1", "Lora hashes": "a: 1, b: 2", "Seed": "4"},
        ),
    ],
)  # fmt: skip
def test_the_last_line_is_settings_only_with_three_pairs(
    text: str, settings: dict[str, str]
) -> None:
    assert parse_infotext(text).settings == settings
