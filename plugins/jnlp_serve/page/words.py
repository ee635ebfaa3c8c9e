"""The words of the page, in Japanese and in English."""

from __future__ import annotations

from typing import Final

LANGUAGES: Final = ("ja", "en")

WORDS: Final[dict[str, dict[str, str]]] = {
    "ja": {
        "title": "文書検索",
        "ask": "言葉か質問を入れてください",
        "search": "検索",
        "label": "検索する言葉",
        "none": "見つかりませんでした。",
        "weak": "よく合う箇所はありません。近いものを示します。",
        "hits": "件",
        "more": "次の結果",
        "back": "前の結果",
        "kind": "種類",
        "folder": "フォルダー",
        "index": "索引",
        "since": "更新日",
        "since_label": "この日から",
        "clear": "条件をはずす",
        "page": "{n} ページ",
        "slide": "スライド {n}",
        "line": "{n} 行目",
        "also": "ほか {n} 文書にも同じ箇所",
        "score": "このような結果が正しい割合: {n} %",
        "close": "閉じる",
        "passage": "見つかった箇所へ",
        "keys": "/ 検索欄　↑ ↓ 結果を選ぶ　Enter 開く　Esc 閉じる",
        "other": "English",
        "try": "ほかの機能を試す",
        "home": "文書検索へ",
        "empty": "索引がありません。jnlp index で作り、--index を付けて起動してください。",
        "documents": "{n} 文書を検索します",
        "try_title": "文章を試す",
        "text": "文章",
        "run": "実行",
        "fill-mask": "穴埋め(<mask> を入れる)",
        "toxicity": "有害表現",
        "classify": "分類",
        "pii": "個人情報",
        "clean": "見つかりませんでした。",
        "labels": "ラベル(読点で区切る)",
    },
    "en": {
        "title": "Search",
        "ask": "Words or a question",
        "search": "Search",
        "label": "Words to search for",
        "none": "Nothing was found.",
        "weak": "No passage matches well. These are the nearest.",
        "hits": "hits",
        "more": "Next",
        "back": "Previous",
        "kind": "Kind",
        "folder": "Folder",
        "index": "Index",
        "since": "Changed",
        "since_label": "Since",
        "clear": "Clear filters",
        "page": "page {n}",
        "slide": "slide {n}",
        "line": "line {n}",
        "also": "the same passage in {n} more documents",
        "score": "Of such hits {n} % are right",
        "close": "Close",
        "passage": "To the passage",
        "keys": "/ search box   ↑ ↓ choose   Enter open   Esc close",
        "other": "日本語",
        "try": "Try the other tasks",
        "home": "Search",
        "empty": "There is no index. Make one with jnlp index, and start with --index.",
        "documents": "{n} documents to search",
        "try_title": "Try a text",
        "text": "Text",
        "run": "Run",
        "fill-mask": "Fill a mask (write <mask>)",
        "toxicity": "Toxic passages",
        "classify": "Classify",
        "pii": "Personal data",
        "clean": "Nothing was found.",
        "labels": "Labels (commas between)",
    },
}


def language(asked: str | None, accepted: str, /) -> str:
    """Return the language of a page: the one asked for, else the browser's first that there is, else Japanese.

    Example:
        >>> language(None, "en-GB,en;q=0.8,ja;q=0.5"), language("ja", "en"), language(None, "")
        ('en', 'ja', 'ja')
    """
    if asked in LANGUAGES:
        return str(asked)
    for part in accepted.split(","):
        if (name := part.split(";")[0].split("-")[0].strip().lower()) in LANGUAGES:
            return name
    return LANGUAGES[0]
