"""Markdown loses nothing that CommonMark shows, compared with markdown-it over generated text."""

from __future__ import annotations

import random
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from jnlp.text import html, markdown
from jnlp.text.align import Aligned
from jnlp.text.markdown_to_text import markdown_with_outline

HIDDEN = ("script", "style", "template", "iframe", "noembed", "noframes")


class Visible(HTMLParser):
    """The text of a page outside elements that no browser shows."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.hidden = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.hidden = self.hidden or (tag if tag in HIDDEN else "")

    def handle_endtag(self, tag: str) -> None:
        self.hidden = "" if tag == self.hidden else self.hidden

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.text.append(data)


def visible(page: str) -> str:
    parser = Visible()
    parser.feed(page)
    parser.close()
    return "".join(filter(str.isalnum, "".join(parser.text)))


def missing(shown: str, ours: str) -> str:
    """What of the visible letters is not in our text, in order."""
    rest = iter(ours)
    return "".join(character for character in shown if character not in rest)


def check_offsets(source: str, aligned: Aligned) -> None:
    last = 0
    for start, end, begin, stop, copied in aligned.pieces():
        assert last <= begin <= stop
        if copied:  # or a single character in the place of another, as a tab for a bar
            pairs = zip(aligned.text[start:end], source[begin:stop], strict=True)
            assert all(ours == theirs for ours, theirs in pairs if ours.isalnum())
        last = stop
    assert last <= len(source)


MARKUP = [
    "a",
    "x",
    "社",
    "契約",
    "了解しました。",
    "、",
    "。",
    " ",
    "  ",
    "\n",
    "\n",
    "\n\n",
    "　",
    "*",
    "**",
    "_",
    "~~",
    "`",
    "``",
    "```",
    "```py\n",
    "~~~",
    "# ",
    "## ",
    "#",
    "---",
    "---\n",
    "===\n",
    "+++\n",
    "- ",
    "* ",
    "1. ",
    "2) ",
    "> ",
    ">",
    "[",
    "]",
    "](",
    "(",
    ")",
    "[x]: ",
    "[田中]: ",
    "[x]",
    "[y][x]",
    "![",
    "<",
    "</",
    "<A社>",
    "<b>",
    "</b>",
    "<br>",
    "<div>\n",
    "</div>",
    "<pre>",
    "</pre>\n",
    "<script>",
    "</script>",
    "<!-- 隠 -->",
    "-->",
    "<?a ?>",
    "<![CDATA[中]]>",
    "<!D 乙>",
    "&",
    "&amp;",
    "&lt;",
    "&#x3042;",
    "&copy",
    "\\",
    "\\*",
    "|",
    "| a | b |\n",
    "|---|---|\n",
    "http://x.y/z",
    "<http://x.y>",
    '"題"',
    "title: x\n",
    "key = 1\n",
    "=",
    "x<y と y>z",
    "List<Item型>",
    "(x.md)",
    '[リンク](a.md "題")',
    "{#id}",
    "「",
    "」",
    "1",
    "２",
]


def generated(seed: int, parts: list[str]) -> str:
    draw = random.Random(seed)
    return "".join(draw.choices(parts, k=draw.randint(1, draw.choice([4, 8, 16, 40]))))


@pytest.mark.parametrize("block", range(4))
def test_no_letter_that_commonmark_shows_is_lost(block: int) -> None:
    parser = MarkdownIt("commonmark")
    for seed in range(block * 700, block * 700 + 700):
        source = generated(seed, MARKUP)
        if source.startswith(("---", "+++")):
            source = "\n" + source  # CommonMark has no front matter
        aligned = markdown(source)
        check_offsets(source, aligned)
        try:
            shown = visible(parser.render(source))
        except AssertionError:  # html.parser itself fails on <![
            continue
        assert not missing(shown, aligned.text), source


@pytest.mark.parametrize("block", range(2))
def test_no_letter_that_a_page_shows_is_lost(block: int) -> None:
    parts = [
        "社",
        "契約",
        "a",
        " ",
        "\n",
        "<p>",
        "</p>",
        "<b>",
        "</b>",
        "<br/>",
        "<a href='x>y'>",
        '<a b="1" c=2 d>',
        "<div\n>",
        "</div >",
        "<td>",
        "<ul><li>",
        "<script>",
        "</script>",
        "<style>p{}</style>",
        "<!-- 隠 -->",
        "<!DOCTYPE html>",
        "&amp;",
        "&#x3042;",
        "&copy;",
        "<textarea>",
        "</textarea>",
        "<svg><text>",
        "</svg>",
        "<object>",
        "<canvas>",
        "<title>題</title>",
        '<p "x>',
        "<x<y と y>",
        "< ",
        "3 < 4",
        '"',
        "'",
        ">",
    ]
    for seed in range(block * 700, block * 700 + 700):
        source = generated(seed, parts)
        aligned = html(source)
        check_offsets(source, aligned)
        try:
            shown = visible(source)
        except AssertionError:
            continue
        assert not missing(shown, aligned.text), source


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("---\n\n# 議事録\n\n解約を決めた。\n\n---\n\n# 次回\n", "\n\n議事録\n\n\n解約を決めた。\n\n\n\n次回\n\n"),
        ("---\n本文。\n---\n次。", "\n本文。\n\n次。"),
        ("---\n- 一\n- 二\n---\n", "\n・一\n・二\n\n"),
        ("---\n議題: 契約: 解約\n---\n本文。", "\n議題: 契約: 解約\n\n本文。"),
        ("+++\n一つ目\n+++\n二つ目", "+++\n一つ目\n+++\n二つ目"),
        ("+++\ntitle = '規約'\n+++\n本文", "本文"),
        ("---\r\ntitle: 規約\r\ntags:\r\n  - a\r\n---\r\n本文", "本文"),
        ("---\ntitle: x\n...\n本文", "本文"),
        ("---\ntitle: 閉じない\n\n本文", "\ntitle: 閉じない\n\n本文"),
        ("<A社>と<B案>、x<y と y>z、List<Item型>", "<A社>と<B案>、x<y と y>z、List<Item型>"),
        ("<b>太</b><br>次<!-- 隠 -->", "太\n次"),
        ("<b a=\"1\" c='2' d=e f>太", "太"),
        ("[田中]: 了解しました。 明日 送ります。", "[田中]: 了解しました。 明日 送ります。"),
        ("[田中]: 了解しました。\n[鈴木]: はい。", "[田中]: 了解しました。\n[鈴木]: はい。"),
        ("[a]: http://x\n[b]: <c d> 'e'\n本文と[A]と[x][b]", "\n\n本文とAとx"),
        ("本文\n[a]: http://x", "本文\n[a]: http://x"),
        ("[a]: http://x 余り", "[a]: http://x 余り"),
        ("[注](x y)と[注](<x y>)", "[注](x y)と注"),
        ("# 見出し {#id}", "見出し {#id}\n\n"),
        ("    字下げ<b>&amp;[x](y)", "字下げ<b>&amp;[x](y)"),
        ("- 一\n\n      字下げ*x*\n", "・一\n\n字下げ*x*\n"),
        ("1. 一\n   - 二\n     続き\n> 三\n四", "1. 一\n・二\n続き\n三\n四"),
        ("> ```\n> <b>\n> ```\n外", "<b>\n外"),
        ("<div>\n*a*[x](y)\n</div>\n\n*b*", "*a*[x](y)\n\nb"),
        ("<script>\nvar x;\n</script>\n後", "\n後"),
        ("<script>\n閉じない", "閉じない"),
        ("<!-- 閉じない\n本文", "<!-- 閉じない\n本文"),
        ("a | b\n--- | ---\n`c` | e\\|f", "a\tb\nc\te|f"),
        ("前\n| a | b |\n|:-|-:|\n| 一 |", "前\na\tb\n一"),
        ("| a ` | <b>` |\n|---|---|", "| a  | <b> |\n|---|---|"),
        ("| a |\n本文", "| a |\n本文"),
        ("- [ ] 仕事\n- [x] 済み", "・仕事\n・[x] 済み"),
        ("**「強調」**の*a*", "「強調」のa"),
        ("[^1]と[^2]\n\n[^1]: これは 脚注", "と[^2]\n\nこれは 脚注"),
        ("&copy;&copy &#0;&notit;", "©&copy \ufffd&notit;"),
        ("行末\\\n次\\", "行末\n次\\"),
        ("`` a`b `` と `閉じない", " a`b  と `閉じない"),
        ("一\r\n二\r三", "一\r\n二\r三"),
    ],
)
def test_markdown_by_the_rules_of_commonmark(source: str, text: str) -> None:
    aligned = markdown(source)
    assert aligned.text == text
    check_offsets(source, aligned)


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("本文\n\n## **契約**の`書`\n", "契約の書"),
        ("題\n二行\n===\n", "題 二行"),
        ("```\n# 違う\n```\n", None),
        ("    # 違う\n", None),
        ("#\n# 次\n", "次"),
        ("# [題][a]\n\n[a]: x.md", "題"),
        ("> # 引用\n\n- # 項目\n", None),
    ],
)
def test_the_first_heading(source: str, title: str | None) -> None:
    outline = markdown_with_outline(source)[1]
    assert (outline[0].title if outline else None) == title


def test_the_outline_has_offsets_in_the_new_text() -> None:
    source = "序\r\n\r\n# **第1章** 総則\r\n甲\r\n\r\n第1条\r\n---\r\n\r\n乙\r\n\r\n<h3>第 &amp; 2条</h3>\r\n\r\n丙\r\n"
    aligned, outline = markdown_with_outline(source)
    assert [(mark.level, mark.title) for mark in outline] == [(1, "第1章 総則"), (2, "第1条"), (3, "第 & 2条")]
    for mark in outline:
        assert aligned.text.startswith(mark.title, mark.start)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ('<p "x>y">z', 'y">z'),
        ("<!-->見える<!--->も", "見えるも"),
        ("<!-- 隠 --!>後", "後"),
        ("<a title=\"x>y\" b='>'>後", "後"),
        (f'<img src="data:{"A" * 20_000}">後', "後"),
        ("<textarea>書いた</textarea><object>代わり</object>", "書いた代わり"),
        ("<script>a</script ><style>b</style\n>後", "後"),
        ('<a href="閉じない>リンク</a>後', "リンク後"),
        ("<!-- 閉じない", "<!-- 閉じない"),
    ],
)
def test_html_by_the_rules_of_its_parser(source: str, text: str) -> None:
    assert html(source).text == text
