"""What is taken for settings in a text that anyone may have written, and how long that takes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from underpaint.infotext import parse_infotext

SETTINGS = "Steps: 4, Sampler: Euler, Seed: 7"
THE_WEB_UIS = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')


@given(st.text(alphabet='aB1 -/:,"\\\t.', max_size=60))
def test_the_pairs_are_those_that_the_web_ui_finds(junk: str) -> None:
    line = f"{SETTINGS}, {junk}".rstrip()
    found = parse_infotext(f"a fox\n{line}").settings
    assert list(found) == list(dict(THE_WEB_UIS.findall(line)))


def test_a_key_of_any_length_is_read_whole() -> None:
    assert "k" * 300 in parse_infotext(f"a fox\n{SETTINGS}, {'k' * 300}: 1").settings


@pytest.mark.parametrize("part", ["a", "a ", " ", "ab: ", 'ab: "', 'ab: "\\', "- /", "ab,"])
def test_a_line_without_sense_is_no_settings(part: str) -> None:
    text = "a fox\n" + (part * 64_000)[:63_900] + "."
    assert parse_infotext(text).settings == {}


def test_a_line_of_more_than_64_kb_is_no_settings() -> None:
    text = f"a fox\n{SETTINGS}, More: {'x' * 64_000}"
    found = parse_infotext(text)
    assert (found.prompt, found.settings) == (text, {})
