"""Formats a hit as a JSONL record, or as a few lines for a terminal."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from jnlp_search.fuse import best_sentence

if TYPE_CHECKING:
    from jnlp.types import Hit

SHORT = 120
"""A passage of at most so many characters is printed completely."""

_WHERE_KNOWN = ("page", "slide", "before", "after")
"""Fields of a hit that are left out of its JSON where they are empty."""

_ROUNDING = 1e-9

LISTED = 3
"""Maximum documents printed for a shared passage."""


def as_json(hit: Hit, /) -> dict[str, Any]:
    """Return a hit as a JSONL record, offsets as lists of two."""
    found = {
        **{field.name: getattr(hit, field.name) for field in dataclasses.fields(hit)},
        "headings": list(hit.headings),
        "highlights": [list(span) for span in hit.highlights],
        "metadata": dict(hit.metadata),
        "also": [dataclasses.asdict(place) for place in hit.also],
    }
    asked_for = {
        "explain": dataclasses.asdict(hit.explain) if hit.explain else None,
        "evidence": list(hit.evidence) if hit.evidence else None,
        "index": hit.index,
        **{name: getattr(hit, name) or None for name in _WHERE_KNOWN},
    }
    return {key: value for key, value in {**found, **asked_for}.items() if key not in asked_for or value is not None}


def snippet(hit: Hit, /) -> tuple[str, list[tuple[int, int]]]:
    """Return a passage's best sentence for a terminal, with the offsets of its highlights."""
    whole = len(hit.text) <= SHORT
    start, end = (0, len(hit.text)) if whole else hit.evidence or best_sentence(hit.text, hit.highlights)
    inside = [(max(a, start) - start, min(b, end) - start) for a, b in hit.highlights if a < end and b > start]
    return hit.text[start:end], inside


def in_context(hit: Hit, /) -> tuple[str, list[tuple[int, int]]]:
    """Return a passage between the sentences around it, with the offsets of its highlights."""
    before = f"{hit.before}\n" if hit.before else ""
    after = f"\n{hit.after}" if hit.after else ""
    return f"{before}{hit.text}{after}", [(start + len(before), end + len(before)) for start, end in hit.highlights]


def heading(hit: Hit, /) -> str:
    """Return the line above a passage: its place and its score."""
    row = f" ({hit.path})" if hit.path and not hit.document.startswith(hit.path) else ""
    row += f" p. {hit.page}" if hit.page else f" slide {hit.slide}" if hit.slide else ""
    row += f":{hit.line}" if hit.line and hit.document == hit.path and not row else ""
    row += f" in {hit.index}" if hit.index else ""
    score = printed_score(hit.score)
    path = f"  {' › '.join(hit.headings)}" if hit.headings else ""
    return f"{hit.rank}. {hit.document}{row} {hit.start}–{hit.end}  {score}{path}"


def explanation(hit: Hit, /) -> str:
    """Return the lines that lead from what full text and the vectors found to a hit's score; empty without `--explain`.

    The first has BM25 and the cosine, each with its share of the best candidate's; the second, how they make the score.
    """
    if (how := hit.explain) is None:
        return ""
    found, sums = [], []
    if how.bm25 is not None:
        found.append(f"BM25 {how.bm25:.2f} (rank {how.bm25_rank}, share {how.bm25_share:.3f})")
    if how.cosine is not None:
        rank = "not among the nearest" if how.cosine_rank is None else f"rank {how.cosine_rank}"
        found.append(f"cosine {how.cosine:.3f} ({rank}, share {how.cosine_share:.3f})")
    if how.dense_weight < 1:
        sums.append(f"{1 - how.dense_weight:.2f} × {how.bm25_share:.3f}")
    if how.dense_weight > 0:
        sums.append(f"{how.dense_weight:.2f} × {how.cosine_share:.3f}")
    plain = (1 - how.dense_weight) * how.bm25_share + how.dense_weight * how.cosine_share
    raised = f"{plain:.3f}, raised to " if how.fused > plain + _ROUNDING else ""  # for its rank by vectors
    made = f"{' + '.join(sums)} = {raised}{how.fused:.3f} fused, {how.relative:.0%} of the best"
    if how.reranked is not None:
        said = printed_score(how.reranked)
        mixed = "" if hit.score == how.reranked else f", mixed with both shares → score {printed_score(hit.score)}"
        return f"{', '.join(found)}\n{made} → the reranker's score {said}{mixed}"
    covered = f"the best passages have {how.coverage:.0%} of the query's words"
    return f"{', '.join(found)}\n{made}; {covered} → score {printed_score(hit.score)}"


def printed_score(score: float, /) -> str:
    """Return a score with two digits; `<0.01` rather than 0.00."""
    return f"{score:.2f}" if score >= 0.01 else "<0.01"


def sharing(hit: Hit, /) -> str:
    """Return the line that lists the other documents with the same passage; empty if there are none."""
    if hit.count <= 1:
        return ""
    names = [
        place.document
        if place.path is None or place.document.startswith(place.path)
        else f"{place.document} ({place.path})"
        for place in hit.also[:LISTED]
    ]
    more = hit.count - 1 - len(names)
    return f"also in {', '.join(names)}" + (f" and {more:,} more" if more else "")
