"""Aozora Bunko, Markdown and HTML to text, and the way back to the file."""

from __future__ import annotations

import subprocess
import sys

import pytest

from jnlp.text import MARKUPS, aozora, html, html_title, is_aozora, markdown
from jnlp.text.hypertext import html_with_outline

WORK = """吾輩は猫である
夏目漱石

-------------------------------------------------------
【テキスト中に現れる記号について】

《》：ルビ
（例）吾輩《わがはい》

｜：ルビの付く文字列の始まりを特定する記号
-------------------------------------------------------

［＃８字下げ］一［＃「一」は中見出し］

　吾輩《わがはい》は｜猫又《ねこまた》である。〔cafe'〕へ。



底本：「全集1」文庫
　　　1987（昭和62）年発行
"""


@pytest.mark.parametrize(
    ("source", "headings"),
    [
        ("<body><h1> 契約\n書 </h1><p>本文</p><H2 class=x><b>第1条</b></H2>", [(1, "契約書"), (2, "第1条")]),
        ("<h1></h1><h2>&nbsp;</h2><h3>題", [(3, "題")]),
        ("<h1>一<h2>二</h2>", [(1, "一"), (2, "二")]),
        (f"<h1>閉じない<p>{'本文。' * 200}", []),
        ("<h2><ruby>契約<rt>けいやく</rt></ruby></h2>", [(2, "契約")]),
        ("<h2><div>第1条</div><div>目的</div></h2>", [(2, "第1条 目的")]),
        ("<script><h1>違う</h1></script><h7>違う</h7>", []),
    ],
)
def test_headings_of_a_page(source: str, headings: list[tuple[int, str]]) -> None:
    aligned, outline = html_with_outline(source)
    assert [(mark.level, mark.title) for mark in outline] == headings
    for mark in outline:
        assert aligned.text.startswith(mark.title[:1], mark.start)


def test_an_aozora_file_becomes_its_text() -> None:
    aligned = aozora(WORK)
    assert aligned.text == "吾輩は猫である\n夏目漱石\n\n一\n\n　吾輩は猫又である。caféへ。"
    start = aligned.text.index("猫又")
    assert WORK[slice(*aligned.span(start, start + 2))] == "猫又"
    start = aligned.text.index("é")
    assert WORK[slice(*aligned.span(start, start + 1))] == "e'"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("漢字《かんじ》", "漢字"),
        ("｜青空文庫《あおぞらぶんこ》を", "青空文庫を"),
        ("※［＃「てへん＋劣」、第3水準1-84-77］る", "挘る"),
        ("※［＃「口＋喜」、U+563B、10-2］", "嘻"),
        ("益※［＃二の字点、1-2-22］", "益〻"),
        ("※［＃「魚＋師のつくり」、第4水準2-93-37］", b"\x8f\xfd\xc5".decode("euc_jis_2004")),
        ("※［＃判読不能］と", "〓と"),
        ("一［＃「※［＃「口＋喜」、U+563B］」は太字］二", "一二"),
        ("［＃改ページ］\n次", "\n次"),
        ("〔Voila`, fac,ade, Ko:ln, ae&〕", "Voilà, façade, Köln, æ"),
        ("〔注意〕と〔ABC〕", "〔注意〕と〔ABC〕"),
        ("［＃閉じない", "［＃閉じない"),
        ("縦｜横", "縦｜横"),
    ],
)
def test_aozora_notation(source: str, text: str) -> None:
    assert aozora(source).text == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (WORK, True),
        ("吾輩《わがはい》は猫《ねこ》である", True),
        ("一［＃改ページ］二", True),
        ("《罪と罰》と小説《悪霊》を読む", False),
        ("映画《となりのトトロ》と絵画《ゲルニカ》", False),
        ("底本：という言葉の話", False),
        ("ふつうの文章。", False),
    ],
)
def test_aozora_is_recognised_conservatively(text: str, expected: bool) -> None:
    assert is_aozora(text) is expected


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("---\ntitle: x\n---\n本文", "本文"),
        ("# 見出し #\n本文", "見出し\n\n本文"),
        ("**太字**と*斜体*と***両方***", "太字と斜体と両方"),
        ("**太*斜*字**と~~消~~と _斜_", "太斜字と消と 斜"),
        ("snake_case_name と 2 * 3 * 4", "snake_case_name と 2 * 3 * 4"),
        ('[リンク](http://x.y/a_(b) "題")と[参照][1]\n\n[1]: a.md', "リンクと参照\n\n"),
        ("[未定義][1]と[x]と[ ]", "[未定義][1]と[x]と[ ]"),
        ("![代替](a.png)と[![絵](a.png)](b)", "代替と絵"),
        ("`code*x*`と``a`b``", "code*x*とa`b"),
        ("<https://a.b/c>を<b>見る</b>", "https://a.b/cを見る"),
        ("A &amp; B &lt; C", "A & B < C"),
        ("\\*星\\* \\# 井", "*星* # 井"),
        ("```python\nprint('**x**')\n```\n後", "print('**x**')\n後"),
        ("~~~\n# そのまま\n~~~", "# そのまま\n"),
        ("- 項目\n* [ ] 仕事\n1. 番号", "・項目\n・仕事\n1. 番号"),
        ("> 引用\n> **続き**", "引用\n続き"),
        ("| 列1 | 列2 |\n|---|:-:|\n| a | **b** |\n", "列1\t列2\na\tb\n"),
        ("本文[^1]。\n\n[^1]: 脚注\n[a]: http://x\n", "本文。\n\n脚注\n\n"),
        ("題\n===\n本文\n", "題\n\n本文\n"),
        ("<!-- 隠す\n続き -->見える", "見える"),
        ("**閉じない [括弧 `符号", "**閉じない [括弧 `符号"),
    ],
)
def test_markdown(source: str, text: str) -> None:
    assert markdown(source).text == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>一</p><p>二</p>", "一\n\n二"),
        ("一<br>二", "一\n二"),
        ("<ul><li>一<li>二</ul>", "一\n二"),
        ("<tr><td>a</td><td>b</td></tr>", "a\tb"),
        ("日本\n  語の  text\nhere", "日本語の text here"),
        ("<pre>a  b\n c</pre>", "a  b\n c"),
        ("<ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp>字<rt>じ</ruby>だ", "漢字だ"),
        ("<script>if (a<b) '</p>'</script>後<style>p{}</style>", "後"),
        ("&amp;&#x3042;&#12356;&copy;&unknown;", "&あい©&unknown;"),
        ("A&nbsp;B", "A\xa0B"),
        ("前<!-- <p>隠す</p> -->後", "前後"),
        ("<![CDATA[a<b]]>", "a<b"),
        ("<a href=\"x>y\" title='z'>リンク</a>", "リンク"),
        ("1 < 2 & 3 > 2", "1 < 2 & 3 > 2"),
        ("<p>閉じない <b>太", "閉じない 太"),
        ("<p 終わり", "<p 終わり"),
        ("</div></p>余り<", "余り<"),
    ],
)
def test_html(source: str, text: str) -> None:
    assert html(source).text == text


def test_html_offsets_lead_into_the_source() -> None:
    source = "<html><head><title>題</title></head><body><p>これは<b>太&amp;字</b>と&#x3042;だ。</p></body></html>"
    aligned = html(source)
    assert aligned.text == "題\n\nこれは太&字とあだ。"
    for part, origin in (("太&字", "太&amp;字"), ("あ", "&#x3042;"), ("は太", "は<b>太"), ("だ。", "だ。")):
        start = aligned.text.index(part)
        assert source[slice(*aligned.span(start, start + len(part)))] == origin


NAVIGATION = [
    ("<nav>製品 採用</nav><p>休暇は二十日。</p>", "休暇は二十日。"),
    (
        "<header><nav>製品</nav><h1>規程</h1></header><p>本文</p>",
        "規程\n\n本文",
    ),  # no main part: the header may be its own
    ("<header>会社</header><main><header>題</header>本文</main><aside>広告</aside><footer>©</footer>", "題\n\n本文"),
    ("<div class='x' role='navigation'><div>一</div>二</div>三", "三"),
    ('<ul role="search"><li>検索</ul>本文', "本文"),
    ("<p role=navigation>これは段落</p>", "これは段落"),  # no element for navigation
    ("<nav>一<nav>二</nav>三</nav>四", "四"),
    ("<nav>閉じない<p>本文", "閉じない\n\n本文"),
    ("<NAV\n>一</NAV >二", "二"),
    ("<nav>目次だけの頁</nav>", "目次だけの頁"),  # nothing else is left
    ("<navigator>一</navigator>", "一"),
    ("前<nav>製品</nav>後", "前\n\n後"),
    ("<!-- <main> --><header>題</header>本文", "題\n\n本文"),
    ("<main>一</main><footer>住所", "一\n\n住所"),
]


@pytest.mark.parametrize(("source", "text"), NAVIGATION)
def test_navigation_is_left_out_of_the_content(source: str, text: str) -> None:
    aligned, _ = html_with_outline(source, content=True)
    assert aligned.text == text
    for place, char in enumerate(aligned.text):
        start, end = aligned.span(place, place + 1)
        assert char in source[start:end] or char == "\n"


def test_a_page_with_its_navigation_is_still_to_be_had() -> None:
    assert html("<nav>製品</nav><p>本文</p>").text == "製品\n\n本文"


def test_headings_keep_their_places_where_navigation_is_left_out() -> None:
    aligned, outline = html_with_outline("<nav><h2>目次</h2></nav><h1>規程</h1><p>本文", content=True)
    assert [(mark.title, aligned.text[mark.start :][:2]) for mark in outline] == [("規程", "規程")]


def test_the_title_of_a_page() -> None:
    assert html_title("<TITLE lang=ja> 題\n &amp; 名 </TITLE>") == "題 & 名"
    assert html_title("<p>なし</p>") is None
    assert html_title("<title>規<script>alert('題')</script>程<STYLE>a{}</STYLE></title>") == "規程"
    assert html_title("<title>規程<script>alert('題')</title>") == "規程"
    assert html_title("<title><script>alert('題')</script></title><p>本文</p>") is None
    assert html_title("<title>List<String> の使い方</title>") == "List<String> の使い方"  # as a browser shows it


def test_the_names() -> None:
    assert list(MARKUPS) == ["plain", "aozora", "markdown", "html"]
    assert MARKUPS["plain"]("**a**").text == "**a**"


@pytest.mark.parametrize("unit", ["[", "*a", "`a ", '<a "', "_a ", "![a", "<!--", "《a", "［＃", "〔a'", "｜a"])
@pytest.mark.parametrize("name", sorted(MARKUPS))
def test_hostile_markup_ends_in_bounds(name: str, unit: str) -> None:
    aligned = MARKUPS[name](unit * 3000)
    assert aligned.span(0, len(aligned.text))[1] <= 3000 * len(unit)


def test_no_module_takes_the_name_of_a_function() -> None:
    code = (
        "import jnlp.text, pkgutil, importlib\n"
        "for found in pkgutil.iter_modules(jnlp.text.__path__):\n"
        "    importlib.import_module(f'jnlp.text.{found.name}')\n"
        "for name in jnlp.text.__all__:\n"
        "    assert not isinstance(getattr(jnlp.text, name), type(jnlp)), name\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True).stderr == ""
