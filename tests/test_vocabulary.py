"""Words that a small model was not taught: named once, with what comes nearest."""

import json
import shutil
from pathlib import Path

import pytest

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
