"""The search page: rendered on the server, escaped, shareable; and in a real browser."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

import jnlp
from jnlp.testing import make_model
from jnlp_search import Index
from jnlp_serve.app import create_app
from jnlp_serve.options import ServeOptions
from jnlp_serve.page.state import State
from jnlp_serve.page.words import WORDS
from tests.serve.conftest import HERE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self._at = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def get(client, address, **headers):
    answer = client.get(address, headers=headers)
    assert answer.status_code == 200, answer.text
    return Page(answer.text), answer


def test_both_languages_have_the_same_words():
    assert WORDS["ja"].keys() == WORDS["en"].keys()


def test_the_page_is_in_the_browser_s_language_and_loads_nothing_from_elsewhere(client):
    page, answer = get(client, "/", **{"accept-language": "ja,en;q=0.5"})
    assert page.all("html") == [{"lang": "ja"}]
    assert get(client, "/?lang=en")[0].all("html") == [{"lang": "en"}]
    addresses = [a.get("href") or a.get("src") for tag in ("link", "script", "a", "img") for a in page.all(tag)]
    assert all(address.startswith("/") for address in addresses)
    for address in ("/static/page.css", "/static/page.js", "/static/view.js", "/static/try.js"):
        assert client.get(address).status_code == 200
    assert client.get("/static/../app.py").status_code == 404
    assert not [a for _, a in page.elements if any(name.startswith("on") or name == "style" for name in a)]
    assert "script-src 'self'" in answer.headers["content-security-policy"]


def test_a_query_shows_hits_with_headings_marks_and_the_answer(client):
    page, answer = get(client, "/?q=休暇は何日か&lang=ja")
    assert page.all("input")[0]["value"] == "休暇は何日か"
    assert len(page.all("article")) >= 1
    assert "就業規則 › 休暇" in answer.text
    assert "<mark>休暇</mark>" in answer.text
    assert '<span class="answer">' in answer.text
    links = [a["href"] for a in page.all("a") if a["href"].startswith("/view?")]
    assert parse_qs(urlsplit(links[0]).query)["chunk"]
    part, _ = get(client, "/?q=休暇は何日か&part=results")
    assert not part.all("html")
    assert len(part.all("article")) == len(page.all("article"))


def test_a_document_opens_at_the_passage(client):
    page, _ = get(client, "/?q=休暇は何日か&lang=ja")
    link = next(a["href"] for a in page.all("a") if "就業" in a["href"] or "%E5%B0%B1" in a["href"])
    view, answer = get(client, link)
    assert view.all("mark") == [{"id": "passage", "tabindex": "-1"}]
    assert "給与は月末に支払う。" in answer.text  # the whole document, not only the passage
    dialog, _ = get(client, link + "&part=reader")
    assert not dialog.all("html")


def test_filters_narrow_the_hits_and_stay_in_the_address(client):
    every, _ = get(client, "/?q=休暇&lang=ja")
    few, answer = get(client, "/?q=休暇&kind=md&lang=ja")
    assert 1 <= len(few.all("article")) < len(every.all("article"))
    assert [a["href"] for a in few.all("a") if a.get("aria-current")] == ["/?q=%E4%BC%91%E6%9A%87"]  # takes it off
    assert {"type": "hidden", "name": "kind", "value": "md"} in few.all("input")
    assert "条件をはずす" in answer.text


def test_text_of_documents_is_never_markup(client):
    page, answer = get(client, "/?q=猫の写真&lang=ja")
    assert "&lt;script&gt;alert(" in answer.text
    assert all(a.get("src", "").startswith("/static/") for a in page.all("script"))
    hostile = '"><script>alert(1)</script>'
    page, answer = get(client, f"/?q={hostile}&kind={hostile}&folder={hostile}&index=a&since={hostile}")
    assert len(page.all("script")) == 1
    assert "<script>alert" not in answer.text


def test_names_and_titles_of_files_are_never_markup(engine, tmp_path):
    docs = tmp_path / "docs <b>"
    docs.mkdir()
    hostile = "<img src=x onerror=alert(1)>"
    texts = {
        f"{hostile}.md": f"# {hostile} 規程\n\n特別休暇は五日とする。\n",
        'a"onmouseover="alert(2).html': "<title>&lt;script&gt;alert(3)&lt;/script&gt;</title><p>慶弔休暇は三日とする。",
        "'><script>alert(4)<.txt": "休暇の</mark><script>alert(5)</script>届けを出す。",
    }
    for name, text in texts.items():
        (docs / name).write_text(text, encoding="utf-8")
    with engine.index(tmp_path / "x.idx") as index:
        index.add(docs)
    app = create_app(engine, {"<i>": tmp_path / "x.idx"}, ServeOptions(), load=False)
    app.state.service.ready = True
    with TestClient(app, base_url=HERE) as client:
        found = client.get("/search", params={"q": "休暇"}).json()["hits"]
        assert len(found) == len(texts)
        pages = [client.get("/", params={"q": "休暇", "part": part, "lang": "ja"}).text for part in ("", "results")]
        for hit in found:
            assert client.get(f"/documents/{quote(hit['id'])}", params={"chunk": hit["chunk"]}).status_code == 200
            for part in ("", "reader"):
                asked = {"id": hit["id"], "index": "<i>", "chunk": hit["chunk"], "part": part}
                pages.append(client.get("/view", params=asked).text)
    app.state.service.close()
    for text in pages:
        page = Page(text)
        assert not page.all("img") + page.all("b") + page.all("i")
        assert {a.get("src") for a in page.all("script")} <= {"/static/page.js", "/static/view.js"}
        assert not [name for _, a in page.elements for name in a if name.startswith("on")]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/?q=休暇&index=無い", 404),
        ("/?q=%00", 422),
        ("/?q=休暇&offset=-1", 200),
        ("/?q=休暇&offset=99999999999", 200),
        ("/?q=休暇&since=2026-13-99", 422),
        ("/view?id=無い", 404),
        ("/view", 200),
        ("/view?id=x&chunk=999999999999", 404),
        (f"/?q={'長' * 3000}", 200),
    ],
)
def test_odd_addresses(client, address, status):
    answer = client.get(address)
    assert answer.status_code == status, answer.text


@given(
    st.builds(
        State,
        query=st.text(max_size=20),
        kind=st.sampled_from(["", "pdf", "md"]),
        folder=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
        since=st.sampled_from(["", "2026-01-31"]),
        offset=st.integers(0, 500),
    )
)
def test_a_state_survives_its_address_and_its_condition_parses(state):
    from jnlp_search.where.parse import parse

    query = parse_qs(urlsplit(state.address(offset=state.offset)).query, keep_blank_values=True)
    again = State.read({name: values[0] for name, values in query.items()}, "ja")
    assert again.query == state.query.strip()
    assert (again.kind, again.folder, again.since, again.offset) == (
        state.kind,
        state.folder,
        state.since,
        state.offset,
    )
    if state.where() is not None:
        parse(state.where())


def test_the_other_tasks_can_be_tried(client):
    page, _ = get(client, "/try?lang=ja")
    assert {"toxicity", "fill-mask"} <= {a.get("value") for a in page.all("input")}


# --- in a browser ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    """Chromium of the system, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield made
        made.close()


@pytest.mark.slow
def test_in_a_browser_with_the_keyboard_alone(browser, address):
    page = browser.new_page(locale="ja-JP")
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: errors.append("a script of a document ran"))
    page.goto(address)
    page.keyboard.type("休暇は何日か")  # the box has the focus
    page.keyboard.press("Enter")
    page.wait_for_selector("#hits article")
    assert "q=" in page.url
    page.keyboard.press("ArrowDown")
    assert page.locator("#hits .chosen").count() == 1
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open] #passage")
    assert "休暇" in page.locator("#passage").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    page.locator(".chip", has_text="md").first.click()
    page.wait_for_url("**kind=md**")
    page.go_back()
    page.wait_for_url(lambda url: "kind" not in url)
    page.keyboard.press("Escape")
    page.keyboard.press("Control+a")
    page.keyboard.type("猫の写真")
    page.keyboard.press("Enter")
    page.locator("#hits", has_text="script").wait_for()
    assert errors == []
    page.close()


@pytest.mark.slow
def test_in_a_browser_on_a_phone_in_the_dark_and_with_a_long_document(browser, address):
    phone = browser.new_page(viewport={"width": 360, "height": 740}, color_scheme="dark", locale="ja-JP")
    phone.goto(f"{address}/?q=休暇")
    wide = phone.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360  # nothing to scroll sideways
    light, dark = (browser.new_page(color_scheme=scheme) for scheme in ("light", "dark"))
    colours = []
    for page in (light, dark):
        page.goto(address)
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.close()
    assert colours[0] != colours[1]
    phone.close()


@pytest.fixture(scope="module")
def large(tmp_path_factory, served_at):
    """The address of a service with a document of 2 MB in which one sentence answers."""
    folder = tmp_path_factory.mktemp("large")
    lines = [f"第{n}条　この条は{n}番目の手続きと期限を定める。" for n in range(1, 33_000)]
    lines[20_000] = "第20001条　宇宙船の駐機料は一日につき金貨三枚とする。"
    (folder / "大規程.txt").write_text("\n".join(lines), encoding="utf-8")
    assert (folder / "大規程.txt").stat().st_size > 2_000_000
    model = make_model(folder / "model", layers=1, hidden=32, head="embedding")
    engine = jnlp.load(device="cpu")
    with Index.open(folder / "large.idx", engine, model=str(model)) as index:
        index.add(folder / "大規程.txt", chunk_tokens=256)
    app = create_app(engine, {"large": folder / "large.idx"}, ServeOptions(tasks=("search",)), load=False)
    app.state.service.load()
    assert app.state.service.problem is None
    with served_at(app) as address:
        yield address
    app.state.service.close()


@pytest.mark.slow
def test_in_a_browser_a_document_of_two_megabytes_opens_at_the_passage(browser, large):
    page = browser.new_page(locale="ja-JP")
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{large}/?q=宇宙船の駐機料")
    page.locator("#hits article a").first.click()
    page.wait_for_selector("dialog[open] #passage")
    assert "金貨三枚" in page.locator("#passage").inner_text()
    seen = "const box = document.querySelector('#passage').getBoundingClientRect();"
    page.wait_for_function(f"() => {{ {seen} return box.top >= 0 && box.top < innerHeight; }}")
    assert len(page.locator("dialog[open]").inner_text()) > 500_000  # the whole document
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert errors == []
    page.close()
