"""The page of a sweep in a real browser: every picture, the viewer, its slider, zoom and keys."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.surfaces.conftest import process

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with playwright.sync_playwright() as started:
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
def page(browser: "playwright.Browser", swept: Path) -> Iterator["playwright.Page"]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
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


def test_every_cell_shows_its_picture_and_nothing_is_fetched(page: "playwright.Page") -> None:
    widths = page.eval_on_selector_all("figure img", "all => all.map(one => one.naturalWidth)")
    assert len(widths) == 6
    assert all(width > 0 for width in widths)
    assert "it's <b>ink</b>" in page.inner_text("main")


def test_a_cell_opens_beside_its_source_and_keys_walk_the_grid(page: "playwright.Page") -> None:
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


def test_the_slider_moves_the_seam_between_before_and_after(page: "playwright.Page") -> None:
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


def test_it_zooms_and_fits_again(page: "playwright.Page") -> None:
    page.locator("figure button.open").first.click()
    assert page.inner_text("#zoom") == "fit"
    page.click("#larger")
    assert page.inner_text("#zoom").endswith("%")
    page.click("#fit")
    assert page.inner_text("#zoom") == "fit"
    page.click("#close")
    assert not page.is_visible("#viewer")


def test_a_phone_shows_it_without_scrolling_sideways(
    browser: "playwright.Browser", swept: Path
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto(swept.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("figure button.open").first.tap()
    assert page.is_visible("#stage")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
