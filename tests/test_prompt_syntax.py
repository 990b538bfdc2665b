"""Words, weights and BREAKs of a prompt, in the grammar that people paste."""

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from underpaint.errors import RequestError
from underpaint.models.prompt_syntax import LARGEST_WEIGHT, Piece, parse

PLAIN = st.text(st.characters(exclude_characters="\\()[]"), min_size=1).filter(
    lambda text: not text.isspace() and "BREAK" not in text
)
WORD = st.text("abcdefg ,:é", min_size=1, max_size=8).filter(lambda text: not text.isspace())
MARKED = st.lists(st.sampled_from([*"ab \\()[]:|.19", "BREAK", ":1.2)", "\\("])).map("".join)


def pieces(text: str) -> list[tuple[str, float]]:
    """The pieces of a prompt of one section."""
    (section,) = parse(text).sections
    return [(piece.text, pytest.approx(piece.weight)) for piece in section]


@settings(derandomize=True)
@given(PLAIN)
def test_text_without_syntax_is_one_piece_letter_for_letter(text: str) -> None:
    parsed = parse(text)
    assert parsed.sections == ((Piece(text),),)
    assert parsed.plain == text
    assert parsed.notices == ()


@settings(derandomize=True)
@given(PLAIN | MARKED.filter(lambda text: "BREAK" not in text))
def test_escaped_text_means_itself(text: str) -> None:
    parsed = parse(re.sub(r"[\\()\[\]]", r"\\\g<0>", text))
    assert parsed.plain == ("" if not text or text.isspace() else text)
    assert all(piece.weight == 1 for section in parsed.sections for piece in section)
    assert parsed.notices == ()


@settings(derandomize=True)
@given(WORD, st.lists(st.sampled_from(["()", "[]", "0.5", "1.3", "2"]), max_size=4))
def test_nested_weights_multiply(word: str, around: list[str]) -> None:
    text, weight = word, 1.0
    for one in around:
        match one:
            case "()":
                text, weight = f"({text})", weight * 1.1
            case "[]":
                text, weight = f"[{text}]", weight / 1.1
            case _:
                text, weight = f"({text}:{one})", weight * float(one)
    if weight > LARGEST_WEIGHT:
        with pytest.raises(RequestError):
            parse(text)
    else:
        assert pieces(text) == [(word, weight)]


@settings(derandomize=True)
@given(MARKED)
def test_any_text_is_read_or_refused_in_one_sentence(text: str) -> None:
    try:
        parsed = parse(text)
    except RequestError as refusal:
        assert "weights lie in [0, 10]" in str(refusal)  # noqa: PT017  either way is fine
        return
    for section in parsed.sections:
        for piece in section:
            assert piece.text
            assert 0 <= piece.weight <= LARGEST_WEIGHT
            assert math.isfinite(piece.weight)
        assert all(a.weight != b.weight for a, b in pairwise(section))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The examples of AUTOMATIC1111's own docstring that are not about unbalanced brackets.
        ("normal text", [("normal text", 1)]),
        ("an (important) word", [("an ", 1), ("important", 1.1), (" word", 1)]),
        (r"\(literal\]", [("(literal]", 1)]),
        ("(unnecessary)(parens)", [("unnecessaryparens", 1.1)]),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            None,  # one bracket too many: below
        ),
        ("(word:1.2)", [("word", 1.2)]),
        ("(word : 1.2 )", [("word ", 1.2)]),
        ("(word:.5)", [("word", 0.5)]),
        ("(word:+2)", [("word", 2)]),
        ("(word:0)", [("word", 0)]),
        ("(a (b):1.2) c", [("a ", 1.2), ("b", 1.32), (" c", 1)]),
        ("(style: oil)", [("style: oil", 1.1)]),  # no number: a colon
        ("(a:b:1.2)", [("a:b", 1.2)]),
        (r"a \(b\) (c \(d\):1.2)", [("a (b) ", 1), ("c (d)", 1.2)]),
        (r"C:\\new \o/", [(r"C:\new \o/", 1)]),
        ("a:1.2) b", [("a:1.2) b", 1)]),
        ("(a [b) c", [("a [b", 1.1), (" c", 1)]),
        ("()", []),
        ("(:1.2)", []),
        ("", []),
    ],
)
def test_each_form_of_the_grammar(text: str, expected: list[tuple[str, float]] | None) -> None:
    if expected is None:
        expected = [
            ("a (", 1), ("house", 1.43), (" ", 1), ("on", 1 / 1.1), (" a ", 1), ("hill", 0.5),
            (", sun, ", 1), ("sky", 1.331), (".", 1),
        ]  # fmt: skip
    assert pieces(text) == expected


@pytest.mark.parametrize(
    ("text", "stands"),
    [
        ("(a", "(a"),
        ("a) b", "a) b"),
        ("[a", "[a"),
        ("a]", "a]"),
        (":) hat", ":) hat"),
        ("((a)", "(a"),
    ],
)
def test_a_bracket_without_its_partner_is_text_and_said_to_be(text: str, stands: str) -> None:
    parsed = parse(text)
    assert parsed.plain == stands
    assert [notice.code for notice in parsed.notices] == ["bracket-alone"]


@pytest.mark.parametrize("text", ["[cat:dog:0.5]", "[cat|dog]", "[cat:10]", "a, [(cat:1.2)::.5 ]"])
def test_what_would_change_during_a_run_is_read_as_words_and_said_to_be(text: str) -> None:
    assert [notice.code for notice in parse(text).notices] == ["prompt-editing"]


@pytest.mark.parametrize("text", ["[cat]", "[style: oil]", "(cat|dog)", "a | b [c]"])
def test_what_only_resembles_it_gets_no_notice(text: str) -> None:
    assert parse(text).notices == ()


@pytest.mark.parametrize(
    ("text", "sections"),
    [
        ("a BREAK b", ["a ", " b"]),
        ("a,BREAK,b", ["a,", ",b"]),
        ("BREAK a BREAK BREAK b BREAK", [" a ", " b "]),
        ("BREAKFAST, a break", ["BREAKFAST, a break"]),
        ("BREAK", [""]),
    ],
)
def test_break_divides_and_leaves_no_empty_section(text: str, sections: list[str]) -> None:
    parsed = parse(text)
    assert ["".join(piece.text for piece in one) for one in parsed.sections] == sections


def test_a_weight_reaches_across_break() -> None:
    assert parse("(a BREAK b:1.2)").sections == ((Piece("a ", 1.2),), (Piece(" b", 1.2),))


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("(house:-1)", "-1"),
        ("(a (house:3):4)", "12"),
        ("(house at 10:30)", "30"),
        ("(" * 25 + "house" + ")" * 25, "10.8"),
    ],
)
def test_a_weight_out_of_bounds_is_refused_with_the_words_it_is_about(
    text: str, weight: str
) -> None:
    with pytest.raises(RequestError, match=rf"'house.*comes to {re.escape(weight)}.*\[0, 10\]"):
        parse(text)


@pytest.mark.parametrize(
    "text", ["(" * 32_000, "[" * 16_000 + ")" * 16_000, "[" * 16_000 + "]" * 16_000, ":" + "1" * 31_999, "(:1" * 10_000, ": " * 16_000]
)  # fmt: skip
def test_the_longest_prompt_is_read_whatever_it_is_made_of(text: str) -> None:
    assert parse(text).sections
