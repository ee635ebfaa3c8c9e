"""HTML of the pages. All text of documents goes through `escape`; there are no inline scripts or styles."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jnlp_serve.page.state import PER_PAGE
from jnlp_serve.page.words import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jnlp_serve.page.state import State

_MOST_CHIPS = 8


def document(body: str, title: str, language: str, *, script: str = "page.js") -> str:
    """Return a whole page."""
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<link rel="stylesheet" href="/static/page.css"><link rel="icon" href="/static/icon.svg">'
        f'<script src="/static/{script}" defer></script></head>\n<body>{body}</body></html>\n'
    )


def search_page(state: State, found: Mapping[str, Any] | None, indexes: Sequence[Mapping[str, Any]], /) -> str:
    """Return the search page, with results if there is a query."""
    words = WORDS[state.language]
    other = "en" if state.language == "ja" else "ja"
    count = sum(index.get("documents", 0) for index in indexes)
    lead = words["documents"].format(n=f"{count:,}") if indexes else words["empty"]
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">'
        for name, value in (
            ("index", state.index),
            ("kind", state.kind),
            ("folder", state.folder),
            ("since", state.since),
        )
        if value
    )
    elsewhere = state.address(language=other, offset=state.offset)
    body = (
        f'<header><h1><a href="/">{words["title"]}</a></h1><nav><a href="/try">{words["try"]}</a> '
        f'<a href="{escape(elsewhere)}" hreflang="{other}">{words["other"]}</a>'
        f'</nav></header><main><form role="search" action="/" id="form">'
        f'<label for="q" class="unseen">{words["label"]}</label>'
        f'<input id="q" name="q" type="search" value="{escape(state.query)}" placeholder="{words["ask"]}" '
        f'autocomplete="off" maxlength="2000" {"" if state.query else "autofocus"}>'
        f"{hidden}<button>{words['search']}</button></form>"
        f'<p class="soft keys">{words["keys"]}</p>'
        f'<div id="results" aria-live="polite">{results(state, found, indexes) if found else f"<p>{lead}</p>"}</div>'
        f'</main><dialog id="reader" aria-label="{words["title"]}"></dialog>'
    )
    title = f"{state.query} – {words['title']}" if state.query else words["title"]
    return document(body, title, state.language)


def results(state: State, found: Mapping[str, Any], indexes: Sequence[Mapping[str, Any]], /) -> str:
    """Return the results of a query: filters, hits, and links to the next and the previous ones."""
    words, hits = WORDS[state.language], found["hits"]
    note = ""
    if not hits:
        note = f'<p class="note">{words["none"]}</p>'
    elif not found["good_match"]:
        note = f'<p class="note">{words["weak"]}</p>'
    pages = []
    if state.offset:
        back = state.address(offset=max(0, state.offset - PER_PAGE))
        pages.append(f'<a href="{escape(back)}" rel="prev">{words["back"]}</a>')
    if found["next"] is not None:
        pages.append(f'<a href="{escape(state.address(offset=found["next"]))}" rel="next">{words["more"]}</a>')
    items = "".join(_hit(hit, state) for hit in hits)
    return (
        f'{_filters(state, hits, indexes)}{note}<ol id="hits" start="{state.offset + 1}">{items}</ol>'
        f'<nav class="pages">{" ".join(pages)}</nav>'
    )


def _filters(state: State, hits: Sequence[Mapping[str, Any]], indexes: Sequence[Mapping[str, Any]]) -> str:
    """Return chips of the kinds, folders and indexes of the hits, and a day."""
    words = WORDS[state.language]
    kinds = _counted(str(hit["metadata"].get("kind", "")) for hit in hits)
    folders = _counted(str(hit["path"] or "").rpartition("/")[0] for hit in hits)
    rows = [
        _chips(words["kind"], state, "kind", [state.kind] if state.kind else kinds),
        _chips(words["folder"], state, "folder", [state.folder] if state.folder else folders),
    ]
    if len(indexes) > 1:
        rows.insert(0, _chips(words["index"], state, "index", [str(index["name"]) for index in indexes]))
    since = (
        f'<form action="/" class="since">{_kept(state)}<label>{words["since"]} {words["since_label"]} '
        f'<input type="date" name="since" value="{escape(state.since)}"></label></form>'
    )
    clear = f'<a href="{escape(_cleared(state))}">{words["clear"]}</a>' if state.filtered else ""
    return f'<div class="filters">{"".join(rows)}{since}{clear}</div>'


def _cleared(state: State) -> str:
    return state.address(index="", kind="", folder="", since="")


def _kept(state: State) -> str:
    pairs = (("q", state.query), ("index", state.index), ("kind", state.kind), ("folder", state.folder))
    return "".join(f'<input type="hidden" name="{n}" value="{escape(v)}">' for n, v in pairs if v)


def _counted(values: Iterable[str]) -> list[str]:
    counts: dict[str, int] = {}
    for value in values:
        if value:
            counts[value] = counts.get(value, 0) + 1
    return sorted(counts, key=lambda value: -counts[value])[:_MOST_CHIPS]


def _chips(title: str, state: State, field: str, values: Sequence[str]) -> str:
    if not values:
        return ""
    chips = []
    for value in values:
        chosen = getattr(state, field) == value
        address = state.address(**{field: "" if chosen else value})
        mark = ' aria-current="true"' if chosen else ""
        shown = "/".join(value.split("/")[-2:])
        chips.append(
            f'<a class="chip" href="{escape(address)}" title="{escape(value)}"{mark}>{escape(shown)}'
            f"{' ×' if chosen else ''}</a>"
        )
    return f'<div><span class="soft">{title}</span> {" ".join(chips)}</div>'


def _hit(hit: Mapping[str, Any], state: State) -> str:
    words = WORDS[state.language]
    title = hit["metadata"].get("title") or str(hit["document"]).rpartition("/")[2]
    place = [words[name].format(n=hit[name]) for name in ("page", "slide") if hit.get(name)] or (
        [words["line"].format(n=hit["line"])] if hit.get("line") else []
    )
    path = " › ".join(map(str, hit["headings"]))
    also = f'<p class="soft">{words["also"].format(n=hit["count"] - 1)}</p>' if hit["count"] > 1 else ""
    score = words["score"].format(n=round(100 * hit["score"]))
    address = "/view?" + urlencode(
        {"id": hit["id"], "chunk": hit["chunk"], "lang": state.language}
        | ({"index": hit["index"]} if hit.get("index") else {})
    )
    return (
        f'<li><article><h2><a href="{escape(address)}">{escape(str(title))}</a></h2>'
        f'<p class="soft">{escape(str(hit["path"] or hit["document"]))}'
        f'{"".join(f" · {escape(part)}" for part in place)} · <span title="{escape(score)}">'
        f'<meter min="0" max="1" value="{hit["score"]:.2f}">{escape(score)}</meter> {_percent(hit["score"])}</span></p>'
        + (f'<p class="path">{escape(path)}</p>' if path else "")
        + f'<p class="text">{_marked(hit)}</p>{also}</article></li>'
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "< 1 %"


def _marked(hit: Mapping[str, Any]) -> str:
    """Return a passage with the matching words marked, and the answering sentence set off."""
    text, spans = hit["text"], [tuple(span) for span in hit["highlights"]]
    evidence = hit.get("evidence")
    cuts = sorted({0, len(text), *(at for span in spans for at in span), *(evidence or ())})
    made = []
    for start, end in pairwise(cuts):
        part = escape(text[start:end])
        if any(a <= start and end <= b for a, b in spans):
            part = f"<mark>{part}</mark>"
        if evidence and evidence[0] <= start and end <= evidence[1]:
            part = f'<span class="answer">{part}</span>'
        made.append(part)
    return "".join(made)


def reader(found: Mapping[str, Any], language: str, /) -> str:
    """Return a document with the passage marked, for the page or for the dialog."""
    words, text, place = WORDS[language], found["text"], found["place"]
    start, end = (place["start"], place["end"]) if place else (0, 0)
    title = found["title"] or str(found["document"]).rpartition("/")[2]
    passage = f'<mark id="passage" tabindex="-1">{escape(text[start:end])}</mark>' if place else ""
    jump = f'<a href="#passage">{words["passage"]}</a>' if place else ""
    return (
        f'<article class="reader"><header><h2>{escape(str(title))}</h2>'
        f'<p class="soft">{escape(str(found["path"] or ""))}</p>'
        f'<nav>{jump} <button type="button" class="close">{words["close"]}</button></nav></header>'
        f'<div class="whole">{_paragraphs(text[:start])}{passage}{_paragraphs(text[end:])}</div></article>'
    )


def _paragraphs(text: str) -> str:
    """Return text in blocks, so that a browser need not lay out those that are out of sight."""
    return "".join(f"<div>{escape(text[start : start + 4000])}</div>" for start in range(0, len(text), 4000))


def view_page(found: Mapping[str, Any], language: str, /) -> str:
    """Return a page with one document."""
    words = WORDS[language]
    body = f'<header><h1><a href="/">{words["home"]}</a></h1></header><main>{reader(found, language)}</main>'
    return document(body, str(found["title"] or found["document"]), language, script="view.js")


def try_page(tasks: Sequence[str], language: str, /) -> str:
    """Return the page on which the other tasks are tried."""
    words = WORDS[language]
    shown = [task for task in ("toxicity", "pii", "fill-mask", "classify") if task in tasks]
    choices = "".join(
        f'<label><input type="radio" name="task" value="{task}" {"checked" if n == 0 else ""}> '
        f"{escape(words[task])}</label> "
        for n, task in enumerate(shown)
    )
    body = (
        f'<header><h1><a href="/">{words["home"]}</a></h1></header><main><h2>{words["try_title"]}</h2>'
        f'<form id="try" data-clean="{escape(words["clean"])}"><fieldset class="chips">{choices}</fieldset>'
        f'<label for="text" class="unseen">{words["text"]}</label>'
        f'<textarea id="text" name="text" rows="6" maxlength="20000" required></textarea>'
        f'<label class="labels">{words["labels"]} <input name="labels"></label>'
        f'<button>{words["run"]}</button></form><div id="answer" aria-live="polite"></div></main>'
    )
    return document(body, words["try_title"], language, script="try.js")
