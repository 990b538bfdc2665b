"""Words that a small model was not taught: named once, with what comes nearest."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from underpaint import Engine
from underpaint.errors import ModelError
from underpaint.geometry import Size
from underpaint.models import catalog
from underpaint.planning import resolve
from underpaint.request import Request
from underpaint.vocabulary import MOST_NAMED, Vocabulary

KNOWN = Vocabulary(("oil painting", "watercolour", "moonlight"), {"crayon": "pastel"})


@pytest.mark.parametrize(
    "prompt",
    ["", "oil painting, moonlight", "An OIL painting of the moonlight!", "watercolour 4"],
)
def test_a_prompt_of_known_words_gets_no_notice(prompt: str) -> None:
    assert KNOWN.notices(prompt) == ()


def test_an_unknown_word_is_named_with_the_nearest_in_spelling() -> None:
    (notice,) = KNOWN.notices("watercolor in moonlite")
    assert notice.code == "unknown-word"
    assert "'watercolor' (nearest known: watercolour)" in notice.message
    assert "'moonlite' (nearest known: moonlight)" in notice.message


def test_a_word_with_an_apostrophe_is_one_word() -> None:
    assert "'child's'" in KNOWN.notices("a child's watercolour")[0].message.replace('"', "'")


def test_a_word_near_in_meaning_goes_before_one_near_in_spelling() -> None:
    assert "'crayon' (nearest known: pastel)" in KNOWN.notices("crayon")[0].message


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("watercolour, moonlight", "watercolour, moonlight"),
        ("An oil painting of the moonlight!", "An oil painting of the moonlight!"),
        ("a dragon above the sea, watercolour", "watercolour"),
        ("a fine oil painting of a dragon,, MOONLIGHT, 4k", "oil painting, MOONLIGHT"),
        ("oil of dragons in moonlight", "moonlight"),
        ("painting dragons in watercolour moonlight", "watercolour moonlight"),
        ("a dragon", ""),
        ("", ""),
    ],
)
def test_what_was_not_taught_is_not_heard(said: str, heard: str) -> None:
    assert KNOWN.heard(said) == heard


def test_a_very_long_prompt_is_heard_in_no_time() -> None:
    assert KNOWN.heard("dragon oil " * 15_000 + "moonlight") == "moonlight"


def test_known_words_are_heard_at_the_end_of_a_long_prompt() -> None:
    engine = Engine()
    long = ", ".join(f"a dragon of the {one} kingdom" for one in ("first", "second", "third") * 6)
    words: Any = engine.model.words
    short, said = words.encode("watercolour, moonlight")
    made, also_said = words.encode(f"{long}, watercolour, moonlight")
    assert torch.equal(made.hidden, short.hidden)
    assert (said, [notice.code for notice in also_said]) == ((), ["prompt-truncated"])
    assert "made room" in also_said[0].message
    things = (
        "dragon",
        "kingdom",
        "castle",
        "tower",
        "river",
        "knight",
        "banner",
        "throne",
        "crown",
    )
    drowned, why = words.encode(f"{' '.join(things)}, watercolour")
    assert torch.equal(drowned.hidden, words.encode("watercolour")[0].hidden)
    assert why == also_said
    assert words.encode(f"{' '.join(things[1:])}, watercolour")[1] == ()
    weighed, _ = words.encode(f"{long}, (watercolour:1.5), moonlight")
    assert not torch.equal(weighed.hidden, short.hidden)
    plain, nothing = words.encode("a dragon, watercolour")  # there is room for all
    assert nothing == ()
    assert not torch.equal(plain.hidden, words.encode("watercolour")[0].hidden)


def test_little_words_are_near_to_none() -> None:
    known = Vocabulary(("light at dusk", "oil painting"))
    assert "'cat' (nothing near it is known)" in known.notices("a cat at dusk")[0].message


def test_a_stranger_is_said_to_be_one() -> None:
    assert "'dragon' (nothing near it is known)" in KNOWN.notices("dragon, dragon")[0].message


def test_a_long_prompt_of_strangers_stays_one_short_sentence() -> None:
    (notice,) = KNOWN.notices(" ".join(f"{letter}qzx" for letter in "abcdefghij"))
    assert f"and {10 - MOST_NAMED} more" in notice.message


def rewritten(tiny: Path, to: Path, vocabulary: object) -> Path:
    shutil.copytree(tiny, to)
    path = to / "underpaint.json"
    said = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(said | {"vocabulary": vocabulary}))
    return to


def test_the_notice_joins_the_plan_of_a_model_that_lists_its_words(
    tiny: Path, tmp_path: Path
) -> None:
    words = {"phrases": ["oil painting"], "near": {}}
    checkpoint = catalog.find(rewritten(tiny, tmp_path / "taught", words))
    asked = Request(source=None, prompt="oil paintings", seed=1)
    assert [n.code for n in resolve(asked, checkpoint, Size(64, 64)).plan.notices] == [
        "unknown-word"
    ]
    assert resolve(asked, catalog.find(tiny), Size(64, 64)).plan.notices == ()
    syntax = Request(source=None, prompt="(oil:1.2) BREAK [painting]", seed=1)
    assert resolve(syntax, checkpoint, Size(64, 64)).plan.notices == ()


@pytest.mark.parametrize("vocabulary", [[], "oil", {"phrases": [1], "near": {}}, {"near": {}}])
def test_a_damaged_vocabulary_is_refused(tiny: Path, tmp_path: Path, vocabulary: object) -> None:
    with pytest.raises(ModelError, match="vocabulary"):
        catalog.find(rewritten(tiny, tmp_path / "damaged", vocabulary))
