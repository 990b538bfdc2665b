"""The page of a sweep in a real browser: every picture, the viewer, its slider, zoom and keys."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FloatRect, Page, sync_playwright

from tests.conftest import soft_picture
from tests.surfaces.conftest import process

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)

PHONE_PX = 390

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="neither chromium, chromium-browser nor google-chrome is in PATH"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, scene: Path, tiny: Path) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    done = process(
        "sweep", scene, "oil", "--prompt", "it's <b>ink</b>", "-s", "0.3,0.6,0.9", "-m", tiny,
        "-n", "2", "--seed", "7", "-o", "out", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "out" / "sweep.html"


@pytest.fixture
def page(browser: Browser, swept: Path) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda line: said.append(line.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(swept.as_uri())
    yield opened
    assert said == []
    assert {url.split(":")[0] for url in asked} <= {"file", "data"}
    context.close()


def test_every_cell_shows_its_picture_and_nothing_is_fetched(page: Page) -> None:
    widths = page.eval_on_selector_all("figure img", "all => all.map(one => one.naturalWidth)")
    assert len(widths) == 6
    assert all(width > 0 for width in widths)
    assert "it's <b>ink</b>" in page.inner_text("main")


def test_a_cell_opens_beside_its_source_and_keys_walk_the_grid(page: Page) -> None:
    page.locator("figure button.open").nth(1).click()
    assert page.is_visible("#viewer")
    first = page.get_attribute("#after", "src")
    caption = page.inner_text("#caption")
    assert "0.6" in caption
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#after", "src") != first
    assert "0.9" in page.inner_text("#caption")
    page.keyboard.press("ArrowLeft")
    assert page.get_attribute("#after", "src") == first
    assert "underpaint render" in page.inner_text("#facts .command")
    page.keyboard.press("Escape")
    assert not page.is_visible("#viewer")


def test_the_slider_moves_the_seam_between_before_and_after(page: Page) -> None:
    page.locator("figure button.open").first.click()

    def column(share: float) -> bytes:
        box = page.locator("#stage").bounding_box()
        assert box is not None
        x = box["x"] + share * box["width"]
        return page.screenshot(
            clip={"x": x, "y": box["y"] + box["height"] / 3, "width": 12, "height": 60}
        )

    page.locator("#split").fill("95")
    source = column(0.6)
    page.locator("#split").fill("5")
    result = column(0.6)
    assert source != result
    page.locator("#split").fill("95")
    assert column(0.6) == source


@pytest.mark.parametrize("modern", [True, False])
def test_the_command_is_copied_whole(page: Page, swept: Path, modern: bool) -> None:
    if not modern:  # as browsers did before, and as some still do for files
        page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject())")
    number = 4 if modern else 5  # one clipboard serves all
    cell = json.loads((swept.parent / "sweep.json").read_text("utf-8"))["cells"][number]
    page.locator("figure button.open").nth(number).click()
    page.click("#copy")
    page.wait_for_function("document.querySelector('#copied').textContent === 'copied'")
    assert page.evaluate("navigator.clipboard.readText()") == cell["command"]
    assert page.text_content("#facts .command") == cell["command"]


def test_it_zooms_and_fits_again(page: Page) -> None:
    page.locator("figure button.open").first.click()
    before = zoomed(page)
    assert page.get_attribute("#fit", "aria-pressed") == "true"
    page.click("#smaller")
    assert zoomed(page) == before  # nothing is gained below what fits
    page.click("#larger")
    after = zoomed(page)
    assert after[0] > before[0]
    assert after[1] > before[1]
    assert page.get_attribute("#fit", "aria-pressed") == "false"
    page.click("#fit")
    assert zoomed(page) == before
    page.click("#close")
    assert not page.is_visible("#viewer")


def zoomed(page: Page) -> tuple[float, int]:
    """How wide the picture is on the screen, and how large the page says it is, in percent."""
    width = page.locator("#after").evaluate("image => image.getBoundingClientRect().width")
    return width, int(page.inner_text("#zoom").removesuffix("%"))


def test_space_shows_the_source_alone_whatever_else_is_on(page: Page) -> None:
    page.locator("figure button.open").nth(2).click()
    page.locator("#split").fill("100")
    source = page.screenshot(clip=stage_of(page))
    page.locator("#split").fill("30")
    page.keyboard.press("d")
    assert page.screenshot(clip=stage_of(page)) != source
    page.locator("#stage").focus()
    page.keyboard.down(" ")
    alone = page.screenshot(clip=stage_of(page))
    page.keyboard.up(" ")
    assert alone == source
    page.keyboard.press("d")
    page.locator("#split").fill("30")
    assert page.locator(".layer.after").evaluate("one => getComputedStyle(one).clipPath") != "none"


def stage_of(page: Page) -> FloatRect:
    """The middle of the stage, without tags and divider's ends."""
    box = page.locator("#stage").bounding_box()
    assert box is not None
    return {
        "x": box["x"] + box["width"] * 0.1, "y": box["y"] + box["height"] * 0.3,
        "width": box["width"] * 0.8, "height": box["height"] * 0.15,
    }  # fmt: skip


def test_long_prompts_leave_room_for_pictures(
    browser: Browser, tmp_path: Path, scene: Path, tiny: Path
) -> None:
    long = "a castle above the sea, " * 20
    done = process(
        "sweep", scene, long, "--prompt", f"at night, {long}", "-s", "0.3,0.6", "-m", tiny,
        "-n", "1", "--seed", "7", "-o", "out", "-q", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = browser.new_page(viewport={"width": PHONE_PX, "height": 800})
    page.goto((tmp_path / "out" / "sweep.html").as_uri())
    assert page.locator("tbody th").first.get_attribute("title") == long
    assert page.locator("tbody tr").first.evaluate("row => row.offsetHeight") < 250
    page.locator("figure button.open").first.click()
    slider = page.locator("#split").bounding_box()
    assert slider is not None
    assert slider["y"] + slider["height"] < 800
    page.close()


def test_pictures_that_are_reduced_on_the_page_are_said_to_be(
    browser: Browser, tmp_path: Path, tiny: Path
) -> None:
    soft_picture(1500, 100).save(tmp_path / "wide.png")
    done = process(
        "sweep", "wide.png", "oil", "-s", "0.3,0.6", "--work-size", "64x64", "-m", tiny, "-n", "1",
        "-o", "out", "-q", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = browser.new_page()
    page.goto((tmp_path / "out" / "sweep.html").as_uri())
    page.locator("figure button.open").first.click()
    assert "1024 px wide" in page.inner_text("#reduced")
    assert "1500 px wide" in page.inner_text("#reduced")
    for _ in range(12):
        page.click("#larger")
    assert "sharp" not in (page.get_attribute("#stage", "class") or "")
    page.close()


def test_a_phone_shows_it_without_scrolling_sideways(browser: Browser, swept: Path) -> None:
    context = browser.new_context(viewport={"width": PHONE_PX, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto(swept.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE_PX
    page.locator("figure button.open").first.tap()
    assert page.is_visible("#stage")
    for part in ("html", "#viewer", "#viewer .panel"):
        assert page.locator(part).evaluate("part => part.scrollWidth") <= PHONE_PX, part
    context.close()
