"""The page in a real browser. Skipped where there is none, or no playwright."""

import re
import shutil
import threading
import time

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("playwright")

import uvicorn
from playwright.sync_api import expect, sync_playwright

from fairseq_item.serve import engine
from fairseq_item.serve.app import create_app
from fairseq_item.serve.engine import Settings
from fairseq_item.serve.reload import Served

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
TOKEN = "0123456789abcdef"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here"),
]


def start(served, **settings):
    """Serve in a thread: (address, what ends it)."""
    server = uvicorn.Server(
        uvicorn.Config(create_app(served, **settings), port=0, log_level="warning")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)

    def stop():
        server.should_exit = True
        thread.join()

    return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/", stop


@pytest.fixture(scope="module")
def served(shop, make):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "QueryModel", make.ColourModel)
        return Served(Settings(str(shop / "index")))


@pytest.fixture(scope="module")
def address(served):
    """Of the shop's service."""
    address, stop = start(served)
    yield address
    stop()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as started:
        # Without a sandbox: in containers there is none. The page is our own.
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """``visit(address, **settings)``: a page there; errors in its scripts fail the test."""
    errors, contexts = [], []

    def visit(address, **settings):
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert errors == []


def titles(page):
    return page.locator("#answers .name").all_inner_texts()


def check_accessible(page):
    """No violation that axe-core knows of."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_search_and_click_through(address, visit):
    page = visit(address)
    expect(page.locator("#about")).to_have_text("30 products")
    expect(page.locator(".card")).to_have_count(24)
    page.keyboard.press("/")
    page.keyboard.type("red hat")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text(" ms")
    assert page.url.endswith("?title=red+hat")
    assert titles(page)[0].startswith("red hat")
    bars = page.locator(".card").first.locator(".bars")
    expect(bars).to_contain_text("Lexical")
    expect(bars.locator(".of-image .value")).to_have_text("\u2013")
    expect(bars.locator(".weight").first).to_have_text("\xd70.5")
    shown = titles(page)
    page.locator(".open").nth(1).click()
    expect(page.locator("#asked-name")).to_have_text(shown[1])
    assert "item=" in page.url
    expect(page.locator("#status")).to_contain_text(" ms")
    assert shown[1] not in titles(page)
    page.go_back()
    expect(page.locator("#asked")).to_be_hidden()
    expect(page.locator("#title")).to_have_value("red hat")
    expect(page.locator(".name").first).to_have_text(shown[0])


def test_photos(address, visit, make, tmp_path):
    page = visit(address)
    file = tmp_path / "photo.png"
    file.write_bytes(make.photo("blue", "pan"))
    page.set_input_files("#file", file)
    expect(page.locator("#asked")).to_contain_text("Your photo")
    expect(page.locator(".rank").first).to_have_text("1")
    assert titles(page)[0].startswith("blue pan")
    page.fill("#title", "red hat")
    page.keyboard.press("Enter")
    expect(page.locator("#asked")).to_contain_text("and the title")
    # Pasted and dropped photos, as browsers hand them over.
    for kind, holder in (("paste", "clipboardData"), ("drop", "dataTransfer")):
        page.get_by_role("button", name="Remove").click()
        expect(page.locator("#asked")).to_be_hidden()
        page.evaluate(
            """async ([kind, holder, bytes]) => {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(bytes)], "a.png", {type: "image/png"}));
                const Kind = kind === "paste" ? ClipboardEvent : DragEvent;
                const settings = {[holder]: data, bubbles: true, cancelable: true};
                document.body.dispatchEvent(new Kind(kind, settings));
            }""",
            [kind, holder, list(make.photo("grey", "mug"))],
        )
        expect(page.locator("#asked")).to_contain_text("Your photo")
    file.write_text("no image")
    page.set_input_files("#file", file)
    expect(page.get_by_role("alert")).to_be_visible()


def test_filters_and_weights(address, visit):
    page = visit(address + "?title=red+hat")
    page.get_by_label("leaf category").select_option("mug")
    expect(page.locator(".card")).to_have_count(12)
    assert "where=leaf_category%3Dmug" in page.url
    slider = page.get_by_role("slider", name=re.compile("lexical"))
    reset = page.get_by_role("button", name="Reset")
    expect(reset).to_be_disabled()
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(reset).to_be_enabled()
    expect(page.locator(".of-lexical .weight").first).to_have_text("\xd70.99")
    assert "weights=0.5%2C0.25%2C1%2C0.99" in page.url
    page.reload()
    expect(page.locator(".card")).to_have_count(12)
    expect(slider).to_have_value("0.99")
    reset.click()
    expect(page.locator(".of-lexical .weight").first).to_have_text("\xd71")


def test_keys(address, visit):
    page = visit(address + "?title=red+hat")
    expect(page.locator(".rank").first).to_have_text("1")
    page.locator("#title").focus()
    page.keyboard.press("ArrowDown")
    links = page.locator(".open")
    expect(links.first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(links.nth(1)).to_be_focused()
    page.keyboard.press("ArrowDown")
    columns = page.evaluate("getComputedStyle(answers).gridTemplateColumns.split(' ').length")
    expect(links.nth(1 + columns)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#title")).to_be_focused()
    links.first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#asked")).to_contain_text("More like")


def test_phone(address, visit):
    size = {"width": 360, "height": 740}
    page = visit(address + "?title=red+hat", viewport=size, is_mobile=True, has_touch=True)
    expect(page.locator(".rank").first).to_have_text("1")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    expect(page.locator("#weights")).to_be_hidden()
    page.get_by_text("Filters and weights").tap()
    expect(page.locator("#weights")).to_be_visible()
    page.locator(".open").first.tap()
    expect(page.locator("#asked")).to_contain_text("More like")
    check_accessible(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible(address, visit, scheme):
    page = visit(address, color_scheme=scheme)
    expect(page.locator(".card").first).to_be_visible()
    check_accessible(page)
    page.locator(".open").first.click()
    expect(page.locator(".rank").first).to_have_text("1")
    check_accessible(page)


def test_titles_are_text(address, visit, make):
    """Item 5 has markup for an id; titles and errors are shown as they are, too."""
    page = visit(address + "?item=<img src=x onerror=alert(1)>")
    expect(page.get_by_role("alert")).to_contain_text("<img src=x")
    page = visit(address + "?title=blue+pan+model+5")
    expect(page.locator(".name").first).to_contain_text("model 5")
    page.locator(".open").first.click()
    expect(page.locator("#asked-name")).to_have_text("green pan model 5")


def test_token(served, visit):
    address, stop = start(served, token=TOKEN)
    page = visit(address)
    page.get_by_label("token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_have_count(24)
    image = page.locator(".card img").first
    expect(image).to_have_attribute("src", re.compile("^blob:"))
    page.reload()
    expect(page.locator(".card")).to_have_count(24)
    stop()
