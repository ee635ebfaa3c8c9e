"""How a listed word is used where it was found: meant, reported, explained, or another word of the same spelling.

Rules of grammar and collocation on the sentence around a match; their words are in `contexts.txt`. A word that is not
meant does not accuse a text, but the decision knows of it.
"""

from __future__ import annotations

from collections import defaultdict
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jnlp.patterns import deferred

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

    from jnlp_toxicity.matcher import Match


class Use(Enum):
    """How a word is used."""

    MEANT = "meant"
    REPORTED = "reported"
    EXPLAINED = "explained"
    OTHER_SENSE = "other sense"
    OF_SELF = "of oneself"
    FRIENDLY = "friendly"


ADDRESS = deferred(
    r"お前|おまえ|おめえ|てめえ|てめぇ|テメ[ェエー]|貴様|きさま|あんた|こいつ|あいつ|そいつ"
    r"|コイツ|アイツ|奴ら|やつら"
)
_READER = deferred(r"お前|おまえ|おめえ|てめえ|てめぇ|テメ[ェエー]|貴様|きさま|あんた")
_SENTENCE = deferred(r"[。\n\r！？!?]")
_LINK = (
    r"(?:[」』”\"'’]|[」』”\"'’)）]?"
    r"(?:などと|などの|なんて|なんか|とか|とまで|だの|だと|だって|って|と|といった|などという|という))"
)
_STILL_SAID = deferred(r"(?:っつっ|っつ|って|と)?(?:い|言)(?:って(?:る|ん|い?るだろ|んだ|んの)|ったろ|っただろ|ってろ)")
_SELF = deferred(
    r"(?:(?:私|俺|僕|わたし|おれ|ぼく|自分|ワイ|ワシ|うち|あたし)(?:って|は|なんて|ほんと|も|みたいな)、?"
    r"(?:本当に|ほんとに|ほんとうに|ほんと|マジで|まじで|なんて|どうしようもない|ただの|昔から|とんだ|相当な?)*|自分の)$"
)
_SELF_AFTER = deferred(r"[^。！？!?]{0,6}(?:私|俺|僕|わたし|自分|ワイ)(?:は|って|が|。|$)")
_SAID_FIRST = deferred(
    r"(?:言わ|書か|呼ば|罵ら|投稿|コメント|発言|という|メール|曰く|タイトル|題)[^。]{0,10}[「『“\"]$"
)
_DONE_TO = r"(?:を|は|だけ)?(?:全部|一気に|強制的に|先に|手動で|完全に|うまく)?$"
_QUOTES = {"「": "」", "『": "』", "“": "”", '"': '"', "‘": "’"}
_OPEN, _CLOSE = deferred("[「『]"), deferred("[」』]")
_SHORT = 60
"""Characters of a text that one friendly word makes friendly as a whole."""

_QUOTATION = 40
"""Characters from a word to the end of a quotation that is reported for it."""

_STRONG = 0.6
"""Severity from which a word is never in fun."""


def use_of(text: str, match: Match, /) -> Use:
    """Return how the word of a match is used in its sentence.

    Example:
        >>> from jnlp_toxicity.lexicon import load
        >>> from jnlp_toxicity.matcher import find
        >>> for text in ("お前は死ね", "学校で「死ね」と言われて、つらいです。", "プロセスを殺せ"):
        ...     print(use_of(text, find(text, load())[0]).value)
        meant
        reported
        other sense
    """
    rules = _rules()
    low, high = _sentence(text, match.start, match.end)
    before, after, surface = text[low : match.start], text[match.end : high], text[match.start : match.end]
    addressed = bool(ADDRESS.search(before[-16:]))
    if _is_other_sense(before, surface, after, addressed=addressed):
        return Use.OTHER_SENSE
    if _STILL_SAID.match(after):
        return Use.MEANT
    if any(rules[name].match(after) for name in ("term", "defined", "title")) or _is_named(before, after):
        return Use.EXPLAINED
    if rules["forbidden"].match(after) or rules["said"].match(after):
        return Use.REPORTED
    near = text[max(0, match.start - 60) : match.end + 60]
    quotation_end = _quotation_end(before, after)
    if quotation_end is not None and (
        rules["said"].match(after, quotation_end) or rules["victim"].search(near) or _SAID_FIRST.search(before)
    ):
        return Use.REPORTED
    return _in_fun(text, before, after, match, addressed=addressed)


def _in_fun(text: str, before: str, after: str, match: Match, *, addressed: bool) -> Use:
    """Return the use of an insult that is neither reported nor of another sense."""
    if match.entry.category != "insult" or match.entry.severity > _STRONG:
        return Use.MEANT
    if _SELF.search(before) or (not addressed and _SELF_AFTER.match(after)):
        return Use.OF_SELF
    rules = _rules()
    if not addressed and (rules["deed"].match(after) or rules["of-a-thing"].search(before)):
        return Use.OTHER_SENSE
    if rules["degree"].match(after) or (len(text) <= _SHORT and _is_friendly(text, addressed=addressed)):
        return Use.FRIENDLY
    return Use.MEANT


def _is_friendly(text: str, *, addressed: bool) -> bool:
    """Return whether a short text is friendly as a whole; `addressed`: a pronoun is right before the word."""
    rules = _rules()
    if not addressed and rules["friendly"].search(text):
        return True
    if _READER.search(text):
        return False
    return bool(rules["laughing"].search(text)) or (not addressed and bool(rules["liking"].search(text)))


def _is_named(before: str, after: str) -> bool:
    """Return whether the word alone is in quotation marks, in a sentence about words."""
    alone = before.endswith(("「", "『", "“", '"')) and after.startswith(("」", "』", "”", '"'))
    return alone and bool(_rules()["about"].search(before + after))


def _is_other_sense(before: str, surface: str, after: str, *, addressed: bool) -> bool:
    if "殺" in surface or "ころ" in surface:
        return bool(_rules()["things"].search(before))
    if addressed:
        return False
    left, right = before[-25:], after[:25]
    for words, cues in _senses():
        if words.fullmatch(surface):
            found = (hit for hit in cues.finditer(left + surface + right))
            word = (len(left), len(left) + len(surface))
            if any(not (word[0] <= hit.start() and hit.end() <= word[1]) for hit in found):
                return True
    return False


def _quotation_end(before: str, after: str) -> int | None:
    """Return where in `after` the quotation that holds the word is closed, or None if there is none."""
    for left, right in _QUOTES.items():
        place, close = before.rfind(left), after.find(right)
        if place >= 0 and right not in before[place + 1 :] and 0 <= close <= _QUOTATION:
            return close
    return None


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the sentence around `[start, end)`; stops inside a quotation do not end it."""
    first = max(0, start - 40)
    opened = max((hit.start() for hit in _OPEN.finditer(text, first, start)), default=-1)
    closed = max((hit.start() for hit in _CLOSE.finditer(text, first, start)), default=-1)
    place = end
    if opened > closed:
        start = opened
        close = _CLOSE.search(text, end, min(len(text), end + 60))
        place = close.end() if close else end
    first = max(0, start - 120)
    low = max((stop.end() for stop in _SENTENCE.finditer(text, first, start)), default=first)
    limit = min(len(text), place + 200)
    stop = _SENTENCE.search(text, place, limit)
    return low, stop.start() if stop else limit


@cache
def _sections() -> Mapping[str, list[str]]:
    """Return the lines of `contexts.txt` by heading."""
    found: dict[str, list[str]] = defaultdict(list)
    heading = ""
    for raw in (Path(__file__).parent / "contexts.txt").read_text("utf-8").splitlines():
        line = raw.strip()
        if line.startswith("[") and line.endswith("]") and line[1:-1].replace("-", "").isalpha():
            heading = line[1:-1]
        elif line and not line.startswith("#"):
            found[heading].append(line)
    return found


@cache
def _rules() -> Mapping[str, re.Pattern[str]]:
    joined = {name: f"(?:{'|'.join(lines)})" for name, lines in _sections().items() if name != "sense"}
    return {
        "said": deferred(f"{_LINK}[^。！？!?\\n「]{{0,12}}?{joined['said']}"),
        "forbidden": deferred(f"{_LINK}{joined['forbidden']}"),
        "term": deferred(f"{_LINK}{joined['term']}"),
        "defined": deferred(f"[」』]?{joined['defined']}"),
        "things": deferred(f"{joined['things']}{_DONE_TO}"),
        **{
            name: deferred(joined[name])
            for name in ("victim", "friendly", "degree", "title", "about", "deed", "of-a-thing", "liking", "laughing")
        },
    }


@cache
def _senses() -> tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]:
    pairs = (line.split(maxsplit=1) for line in _sections()["sense"])
    return tuple((deferred(words), deferred(cues)) for words, cues in pairs)
