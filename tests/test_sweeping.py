"""What a sweep is made of: ranges, the grid, commands, words on pictures, the sheet and the page."""

import math
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from tests.conftest import soft_picture
from underpaint.errors import RequestError
from underpaint.request import Request
from underpaint.sweeping import commands, lettering, page, sheet
from underpaint.sweeping.axes import Axis, check_count, read_axis
from underpaint.sweeping.commands import render_command
from underpaint.sweeping.grid import lay_out, told_apart

NASTY = '</script><img src=x onerror="alert(1)">\'"&amp;<!-- $(rm) `x` ${title}'

# --- ranges and lists -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "typed", "values"),
    [
        ("strength", "0.2:0.9:8", [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        ("strength", "0:1:4", [0.0, 0.333333, 0.666667, 1.0]),
        ("strength", "0.5", [0.5]),
        ("guidance_scale", " 2, 5 ,8", [2.0, 5.0, 8.0]),
        ("steps", "4:20:4", [4, 9, 15, 20]),
        ("seed", "1,2,3", [1, 2, 3]),
        ("seed", "9007199254740990:9007199254740991:2", [2**53 - 2, 2**53 - 1]),
        ("sampler", "euler, heun", ["euler", "heun"]),
        ("prompt", "oil, dramatic: light", ["oil, dramatic: light"]),
    ],
)
def test_values_are_what_was_typed(name: str, typed: str, values: list[Any]) -> None:
    assert list(read_axis(name, typed).values) == values


@pytest.mark.parametrize(
    ("name", "typed", "sentence"),
    [
        ("strength", "0.9:0.2:8", "LOW < HIGH"),
        ("strength", "0.5:0.5:2", "LOW < HIGH"),
        ("strength", "0.2:0.9:1", "COUNT of 2 or more"),
        ("strength", "0.2:0.9:0", "COUNT of 2 or more"),
        ("strength", "0.2:0.9", "LOW:HIGH:COUNT"),
        ("strength", "0.2:0.9:-3", "LOW:HIGH:COUNT"),
        ("strength", "0.2:0.9:2.5", "LOW:HIGH:COUNT"),
        ("strength", "0.2:nan:3", "got '0.2:nan:3'"),
        ("strength", "0.2:inf:3", "got '0.2:inf:3'"),
        ("strength", "0.2:1.4:3", "strength must lie in [0, 1], got 1.4"),
        ("strength", "-1:1:3", "strength must lie in [0, 1], got -1"),
        ("strength", "nan", "strength must lie in [0, 1], got nan"),
        ("strength", "", "got ''"),
        ("strength", "0.2,,0.3", "got '0.2,,0.3'"),
        ("strength", "0.2,0.3,0.2", "lists '0.2' twice"),
        ("strength", "0.5:0.50001:100", "closer than 1e-06"),
        ("steps", "4:6:9", "closer than 1"),
        ("steps", "0:10:3", "from 1 to 1000, got 0"),
        ("seed", "1.5,2", "values with commas, got '1.5,2'"),
        ("seed", f"1:{2**53}:2", "got 9007199254740992"),
        ("guidance_scale", "2,500", "got 500"),
        ("sampler", "euler,plms", "got 'plms'"),
        ("sampler", "euler,", "got ''"),
        ("prompt", ["oil", "a\0b"], "NUL"),
        ("prompt", ["oil", "oil"], "twice"),
    ],
)
def test_what_is_no_range_or_list_is_refused_in_one_sentence(
    name: str, typed: object, sentence: str
) -> None:
    with pytest.raises(RequestError) as caught:
        read_axis(name, typed)
    assert sentence in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@given(low=st.floats(0, 0.49), high=st.floats(0.5, 1), count=st.integers(2, 500))
def test_a_range_rises_evenly_between_its_exact_ends(low: float, high: float, count: int) -> None:
    values = list(read_axis("strength", f"{low!r}:{high!r}:{count}").values)
    assert (values[0], values[-1], len(values)) == (low, high, count)
    steps = np.diff(values)
    assert (steps > 0).all()
    # six decimals: each value is off by at most half of the last
    assert np.abs(steps - (high - low) / (count - 1)).max() < 1.1e-6


def test_too_many_cells_are_refused_with_their_number() -> None:
    def axes(*counts: int) -> dict[str, Axis]:
        return {str(i): Axis(str(i), range(count)) for i, count in enumerate(counts)}

    assert check_count(axes(20, 20), allowed=False) == 400
    with pytest.raises(RequestError, match=r"asks for 401 pictures.*--yes"):
        check_count(axes(401), allowed=False)
    assert check_count(axes(999, 1001), allowed=True) == 999_999
    with pytest.raises(RequestError, match="asks for 1000000 pictures"):
        check_count(axes(1000, 1000), allowed=True)
    huge = {"seed": read_axis("seed", "0:999999999:999999999")}  # counted, never listed
    with pytest.raises(RequestError, match="asks for 999999999 pictures"):
        check_count(huge, allowed=True)


# --- the grid -------------------------------------------------------------------------------------


def grid(**axes: object) -> Any:
    read = {name: read_axis(name, given) for name, given in axes.items()}
    return lay_out(Request(source=None, prompt="oil", seed=7), read)


def test_one_axis_is_a_row_two_a_grid_and_more_are_pages() -> None:
    one = grid(strength="0.2,0.4")
    assert (one.columns, one.rows, one.pages) == (["strength 0.2", "strength 0.4"], [""], [""])
    two = grid(strength="0.2,0.4", prompt=["oil", "ink"], steps="5")
    assert (two.rows, two.fixed.steps) == (["oil", "ink"], 5)
    four = grid(strength="0.2,0.4", seed="1,2", sampler="euler,heun", guidance_scale="2,5")
    assert (four.columns, four.rows) == (
        ["strength 0.2", "strength 0.4"],
        ["guidance 2", "guidance 5"],
    )
    assert four.pages == [
        "seed 1, euler", "seed 1, heun", "seed 2, euler", "seed 2, heun",
    ]  # fmt: skip
    cells = list(four.cells())
    assert len({cell.file for cell in cells}) == len(cells) == 16
    for cell in cells:
        assert four.columns[cell.column] == f"strength {cell.request.strength:g}"
        assert four.rows[cell.row] == f"guidance {cell.request.guidance_scale:g}"
        assert four.pages[cell.page] == f"seed {cell.request.seed}, {cell.request.sampler}"


LONG = "a wide view of a mountain lake at the end of summer, loose strokes, best quality"


@pytest.mark.parametrize(
    ("prompts", "labels"),
    [
        (["oil", "oil, moonlight"], ["oil", "oil, moonlight"]),
        (
            [LONG, f"{LONG}, moonlight"],
            ["… loose strokes, best quality", "… loose strokes, best quality, moonlight"],
        ),
        (
            [f"{LONG} dawn", f"{LONG} dusk"],
            ["… strokes, best quality dawn", "… strokes, best quality dusk"],
        ),
        ([f"{LONG} dawn", "ink"], [f"{LONG} dawn", "ink"]),
        ([LONG, f"oil, {LONG}"], [LONG, f"oil, {LONG}"]),
    ],
)
def test_labels_of_long_prompts_show_how_they_differ(prompts: list[str], labels: list[str]) -> None:
    assert told_apart(prompts) == labels
    axes = {"prompt": read_axis("prompt", prompts), "strength": read_axis("strength", [0.3, 0.6])}
    grid = lay_out(Request(source=None, prompt=prompts[0]), axes)
    assert grid.rows == labels
    assert grid.labels == {
        "strength": {0.3: "strength 0.3", 0.6: "strength 0.6"},
        "prompt": dict(zip(prompts, labels, strict=True)),
    }


def test_a_file_is_named_after_what_varies() -> None:
    files = [cell.file for cell in grid(strength="0.2,0.25", prompt=["a/../b", "ink"]).cells()]
    assert files == [
        "strength-0.2_prompt-1.png",
        "strength-0.25_prompt-1.png",
        "strength-0.2_prompt-2.png",
        "strength-0.25_prompt-2.png",
    ]
    close = grid(strength="0.1234567,0.1234568").cells()
    assert len({cell.file for cell in close}) == 2


def test_a_combination_that_cannot_be_used_is_refused() -> None:
    fixed = Request(source=None, prompt="x", sampler="ddim", eta=0.5)
    both = {"sampler": read_axis("sampler", "ddim,euler")}
    with pytest.raises(RequestError, match="eta is the noise share of the sampler ddim"):
        list(lay_out(fixed, both).cells())


# --- commands -------------------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


@given(
    prompt=WORDS,
    negative=WORDS,
    source=WORDS.filter(bool),
    strength=st.floats(0, 1),
    seed=st.integers(0, 2**53 - 1),
)
def test_a_shell_reads_the_command_as_it_was_meant(
    *, prompt: str, negative: str, source: str, strength: float, seed: int
) -> None:
    request = Request(
        source=None, prompt=prompt, negative_prompt=negative, strength=strength, seed=seed,
        size="40x30", guidance_interval=(0.1, 0.9), model="gesso",
    )  # fmt: skip
    command = render_command(request, source=source, output="a.png", more={"--exact": True})
    words = shlex.split(command)
    assert words[:2] == ["underpaint", "render"]
    cut = words.index("--") if "--" in words else None
    positional = words[cut + 1 :] if cut is not None else words[2:4]
    assert positional == [source, prompt]
    if negative and not negative.startswith("-"):
        assert words[words.index("--negative-prompt") + 1] == negative
    elif negative:
        assert f"--negative-prompt={negative}" in words
    if strength != 0.6:
        assert float(words[words.index("--strength") + 1]) == strength
    assert words[words.index("--seed") + 1] == str(seed)
    assert words[words.index("--size") + 1] == "40x30"
    assert words[words.index("--guidance-interval") + 1] == "0.1:0.9"
    assert "--exact" in words
    assert "--model" not in words  # a folder's name is no path; who knows the path passes it


def test_windows_shells_get_double_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ON_WINDOWS", True)
    request = Request(source=None, prompt="it's oil paint", steps=4, negative_prompt="-x y")
    command = render_command(request, source="C:\\my photos\\a.jpg", output="out\\a.png", more={})
    assert command == (
        'underpaint render "C:\\my photos\\a.jpg" "it\'s oil paint" "--negative-prompt=-x y" --steps 4 '
        "-o out\\a.png"
    )


# --- words on pictures ----------------------------------------------------------------------------


def ink(text: str, size_px: int) -> Image.Image:
    canvas = Image.new("RGB", (40 + lettering.width_of(text, size_px), 2 * size_px), "white")
    lettering.write(canvas, (4, 4), text, size_px, "black")
    return canvas


@pytest.mark.parametrize("freetype", [True, False])
def test_words_grow_with_their_size_with_and_without_freetype(
    monkeypatch: pytest.MonkeyPatch, *, freetype: bool
) -> None:
    """Pillow from PyPI has FreeType; a build without it still labels what it draws."""
    real = features.check
    monkeypatch.setattr(
        features, "check", lambda name: real(name) if name != "freetype2" else freetype
    )
    for size_px in (13, 40, 160):
        left, top, right, bottom = Image.eval(ink("strength 0.25", size_px), lambda v: 255 - v).getbbox()  # type: ignore[misc]  # fmt: skip
        # letters with a descender take some three quarters to all of their size
        assert 0.6 * size_px < bottom - top < 1.2 * size_px
        assert right - left == pytest.approx(lettering.width_of("strength 0.25", size_px), rel=0.15)
        assert bottom <= 4 + 1.3 * size_px
    assert lettering.can_write("strength 0.25")


def test_words_that_no_font_has_are_known_before_they_are_drawn() -> None:
    assert not lettering.can_write("\ue000 private")  # a letter that no font can have


@given(st.text(max_size=300), st.integers(60, 400), st.integers(1, 5))
def test_wrapped_words_stay_within_their_lines(text: str, within: int, lines: int) -> None:
    found = lettering.wrapped(text, 16, within_px=within, lines=lines)
    assert 1 <= len(found) <= lines
    for line in found:
        # a single letter may be wider than the line; nothing can be done about that
        assert lettering.width_of(line, 16) <= within or len(line) <= 2


# --- the sheet ------------------------------------------------------------------------------------


def drawn(columns: int, rows: int = 1, size: tuple[int, int] = (64, 48)) -> Image.Image:
    return sheet.draw(
        sheet.Page(
            title="oil painting",
            details=["seed 7"],
            columns=[f"strength {i}" for i in range(columns)],
            rows=[f"prompt {i}" for i in range(rows)] if rows > 1 else [""],
            source=soft_picture(*size),
            picture=lambda row, column: Image.new(
                "RGB", size, (10 + 20 * column, 10 + 20 * row, 200)
            ),
        )
    )


def test_every_picture_is_on_the_sheet_once_in_its_place() -> None:
    shown = np.asarray(drawn(3, 2))
    places: dict[tuple[int, int], tuple[float, float]] = {}
    for row in range(2):
        for column in range(3):
            match = (shown == (10 + 20 * column, 10 + 20 * row, 200)).all(axis=2)
            ys, xs = np.nonzero(match)
            assert len(xs) == 64 * 48
            places[row, column] = (xs.mean(), ys.mean())
    assert places[0, 0][0] < places[0, 1][0] < places[0, 2][0]
    assert places[0, 0][1] < places[1, 0][1]
    assert places[0, 0][0] == places[1, 0][0]


def test_no_text_lies_on_the_pictures_of_a_panorama() -> None:
    def seen(details: list[str]) -> int:
        shown = sheet.draw(
            sheet.Page(
                "oil painting", details, ["a", "b"], [""], soft_picture(400, 20),
                lambda _row, _column: Image.new("RGB", (400, 20), (10, 20, 200)),
            )
        )  # fmt: skip
        return int((np.asarray(shown) == (10, 20, 200)).all(axis=2).sum())

    assert seen(["strength from here to there, " * 20] * 3) == seen([]) > 0


def test_a_long_row_is_folded_so_that_labels_stay_readable() -> None:
    assert drawn(24, size=(400, 300)).width == drawn(8, size=(400, 300)).width
    narrow = drawn(2, size=(4, 900))  # pictures narrower than any label
    assert narrow.width > 300


def test_a_large_sheet_stays_within_memory() -> None:
    assert math.prod(drawn(40, 25, size=(640, 480)).size) < 1.5 * 60_000_000


def test_a_transparent_picture_lies_on_paper() -> None:
    glass = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    seen = sheet.draw(sheet.Page("", [], ["a"], [""], glass, lambda _row, _column: glass))
    assert (
        np.asarray(seen)[10, 110] == np.asarray(Image.new("RGB", (1, 1), sheet.PAPER))[0, 0]
    ).all()


# --- the page -------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """What a browser would see: elements and their whole texts."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.open:
            self.texts.setdefault(tag, []).append("")
        if tag not in {"meta", "img", "input", "link", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for depth, tag in enumerate(self.open):
            if tag not in self.open[:depth]:
                self.texts[tag][-1] += data


@pytest.fixture
def html(tmp_path: Path) -> str:
    for name in ("a.png", "b.png"):
        soft_picture(64, 48).save(tmp_path / name)
    cells = [
        page.Cell(
            path=tmp_path / name,
            page=0,
            row=i,
            column=0,
            caption=NASTY,
            command=f"underpaint render {shlex.quote(NASTY)}",
            figures={"structure kept": "0.80 of 1", NASTY: NASTY},
            notices=[NASTY],
        )
        for i, name in enumerate(("a.png", "b.png"))
    ]
    content = page.Content(NASTY, NASTY, NASTY, [NASTY], [NASTY, "b"], [NASTY], cells)
    return page.compose(content, soft_picture(64, 48))


def test_words_from_outside_stay_words_on_the_page(html: str) -> None:
    found = Reader()
    found.feed(html)
    assert found.open == []  # every element is closed, in order
    assert [tag for tag, _ in found.elements].count("script") == 1
    assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)
    assert NASTY in found.texts["h1"]
    assert f"underpaint render {shlex.quote(NASTY)}" in found.texts["pre"]
    assert {attributes["alt"] for tag, attributes in found.elements if tag == "img" and attributes.get("alt")} == {
        NASTY, f"the source, {NASTY}",
    }  # fmt: skip


def test_the_page_needs_nothing_but_itself(html: str) -> None:
    found = Reader()
    found.feed(html)
    for tag, attributes in found.elements:
        for name in ("src", "href", "srcset", "data", "action"):
            value = attributes.get(name)
            assert not value or value.startswith("data:image/webp;base64,") or tag == "a", (
                tag,
                value,
            )
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html
    assert "@import" not in html
    policy = next(
        attributes["content"] for tag, attributes in found.elements if attributes.get("http-equiv")
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:")


def test_the_policy_names_the_very_script_and_style_of_the_page(html: str) -> None:
    for element in ("script", "style"):
        body = re.search(rf"<{element}>(.*?)</{element}>", html, re.DOTALL)
        assert body is not None
        assert f"{element}-src '{page._hash(body[1])}'" in html


def test_every_part_that_the_script_looks_for_is_on_the_page(html: str) -> None:
    script = (Path(page.__file__).parent / "page.js").read_text()
    ids = set(re.findall(r'byId\("([a-z-]+)"\)', script))
    ids |= set(re.findall(r'(?<!\.)toggle\("([a-z-]+)",', script))
    assert ids
    for name in ids:
        assert f'id="{name}"' in html


def test_every_control_on_the_page_says_what_it_does(html: str) -> None:
    found = Reader()
    found.feed(html)
    for tag, attributes in found.elements:
        if tag in {"button", "input", "output"}:
            assert attributes.get("aria-label") or attributes.get("id") in {
                "fit",
                "difference",
                "pin",
                "copy",
            }
        if tag == "img":
            assert "alt" in attributes


def test_many_pictures_share_the_pages_budget() -> None:
    large = Image.new("RGB", (4000, 3000))
    assert page._longest_px(1, large) == 1024
    few, many = page._longest_px(100, large), page._longest_px(400, large)
    assert few == pytest.approx(2 * many, rel=0.01)
    assert 400 * many * many * 0.75 == pytest.approx(40_000_000, rel=0.01)
    assert page._longest_px(1, Image.new("RGB", (60, 40))) == 96  # thumbnails never enlarge
