"""Japanese text to index words with offsets, and a query to the words to search for.

Both analysers fold width and case first. A word's form is what is indexed; documents and queries go the same way.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from jnlp.entry_points import installed_version
from jnlp.errors import JnlpError
from jnlp.patterns import deferred
from jnlp.text import FOLD_VERSION
from jnlp_search.offsets import IndexWords, packed
from jnlp_search.store.tokens import tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from jnlp.text.align import Aligned

PIECE = 12_000
"""Characters given to Sudachi at once: its limit is 49,149 bytes, and a character has up to four."""

MAX_WORDS = 64
"""Maximum words of a query; FTS5 limits the depth of an expression to 256."""

_WRAP = deferred(r"(?<=[^\s\x00-\x7f。！？])[ \t]*\r?\n(?=[^\s\x00-\x7f・■●○◆第（「『【])")
"""A line break within a hand-wrapped Japanese sentence."""

_WRAPPED = 20
"""A shorter line is not joined with the next: it may be a heading."""

_JAPANESE = "々〆〇ぁ-ゖゝゞァ-ヺー-ヿ㐀-䶿一-鿿豈-﫿𠀀-𲎯"
_HIRAGANA = deferred("[ぁ-ゖゝゞー]+")
_SYMBOLS = frozenset("#@%&*/_\\")
_FORMS = 1 << 17
_UNKNOWN = ("", False, False, 0)
_NO_ENTRY = 0xF0000000  # Sudachi's numbers of words that are not in a dictionary begin here
_GRAMMAR = frozenset({"助詞", "助動詞", "代名詞", "連体詞", "接続詞", "感動詞"})
_LIGHT = frozenset({"為る", "居る", "有る", "成る", "出来る", "こと", "事", "もの", "物", "下さる", "どう"})


@dataclass(frozen=True, slots=True)
class Word:
    """One index word.

    Args:
        form: The form that is indexed.
        start, end: Character offsets in the analysed text.
        content: False for particles and the like, which a query leaves out.
        symbol: True for +, # and the like, which a query uses only next to a word (C++).
    """

    form: str
    start: int
    end: int
    content: bool = True
    symbol: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A query to the full-text index.

    Args:
        forms: The forms to highlight.
        words: The index words to search for.
        pairs: Adjacent words, with spaces between them, to rank by with a lower weight.
        begins: Whether index words that begin with one of `words` count too.
    """

    forms: frozenset[str]
    words: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    begins: bool = False

    @property
    def match(self) -> str:
        """The FTS5 expression for any of the words; empty if there are none."""
        return " OR ".join(_quote(word) + " *" * self.begins for word in self.words)

    @property
    def phrases(self) -> str:
        """The FTS5 expression for any of the pairs; empty if there are none."""
        return " OR ".join(map(_quote, self.pairs))


class Analyser(Protocol):
    """Splits text into index words; `version` changes whenever the same text may give other words."""

    name: str
    version: str

    def words(self, text: str, /, only: Collection[str] | None = None) -> Iterator[Word]:
        """Yield the words of a document, or of a passage of it; with `only`, those of some forms."""
        ...

    def forms(self, text: str, /) -> Iterator[str]:
        """Yield the forms of a passage's words."""
        ...

    def index_words(self, text: str, /) -> IndexWords:
        """Return what the index keeps of a passage's words."""
        ...

    def query(self, text: str, /) -> Query:
        """Return the query to the full-text index."""
        ...

    def phrase(self, text: str, /) -> str:
        """Return the FTS5 expression for words in a row, particles included; empty if there are no words."""
        ...


@cache
def analyser(name: str, /) -> Analyser:
    """Return an analyser by name: `sudachi` or `bigram`.

    Raises:
        JnlpError: The dictionary cannot be loaded.
    """
    if name == "bigram":
        return BigramAnalyser()
    if name != "sudachi":
        raise JnlpError(f"no analyser is called '{name}'", hint="there are: sudachi, bigram")
    try:
        return SudachiAnalyser()
    except (ImportError, OSError, RuntimeError) as error:
        raise JnlpError(
            f"the Sudachi dictionary cannot be loaded: {error}",
            hint="pip install sudachipy sudachidict_core, or index with --analyser bigram",
        ) from error


class SudachiAnalyser:
    """Normalised forms of Sudachi's short units: 打合せ = 打ち合わせ, コンピュータ = コンピューター."""

    name = "sudachi"

    def __init__(self) -> None:
        from sudachipy import Dictionary

        parts = (f"{name} {installed_version(name)}" for name in ("sudachidict_core", "sudachipy"))
        self.version = f"{', '.join(parts)}, rules 1, fold {FOLD_VERSION}"
        self._dictionary = Dictionary()
        self._forms: dict[tuple[str, int], _Known | None] = {}
        self._entries: dict[int, _Known | None] = {}  # by the number of a word in the dictionary
        self._local = threading.local()  # a tokenizer has a buffer of its own and is not shared between threads

    def words(self, text: str, /, only: Collection[str] | None = None) -> Iterator[Word]:
        """Yield the words, without punctuation and white space; with `only`, those of some forms."""
        folded, entries = _fold(text), self._entries
        for base, piece in _pieces(folded.text):
            for morpheme in self._tokenizer().tokenize(piece):
                known = entries.get(morpheme.word_id(), _UNKNOWN)
                if known is _UNKNOWN:
                    known = self._learn(morpheme)
                if known is not None and (only is None or known[0] in only):
                    start, end = folded.span(base + morpheme.begin(), base + morpheme.end())
                    yield Word(known[0], start, end, known[1], known[2])

    def forms(self, text: str, /) -> Iterator[str]:
        """Yield the forms of the words, which takes two thirds of the time of `words`."""
        entries, tokenizer = self._entries, self._tokenizer()
        for _, piece in _pieces(_fold(text).text):
            for morpheme in tokenizer.tokenize(piece):
                known = entries.get(morpheme.word_id(), _UNKNOWN)
                if known is _UNKNOWN:
                    known = self._learn(morpheme)
                if known is not None:
                    yield known[0]

    def index_words(self, text: str, /) -> IndexWords:
        """Return the forms, and where each token that the full text makes of them is."""
        folded, entries, tokenizer = _fold(text), self._entries, self._tokenizer()
        begins, ends = _characters(folded)
        forms: list[str] = []
        spans: list[tuple[int, int]] = []
        last = 0
        for base, piece in _pieces(folded.text):
            for morpheme in tokenizer.tokenize(piece):
                known = entries.get(morpheme.word_id(), _UNKNOWN)
                if known is _UNKNOWN:
                    known = self._learn(morpheme)
                if known is None:
                    continue
                forms.append(known[0])
                if known[3] == 1:
                    last = ends[base + morpheme.end() - 1]
                    spans.append((begins[base + morpheme.begin()], last))
                else:
                    spans += [(last, last)] * -known[3]
        return IndexWords(" ".join(forms), packed(spans))

    def _learn(self, morpheme: Any) -> _Known | None:
        """Return what is known of a morpheme, and keep it.

        By the number of an entry it is found in a third of the time of its form and part of speech.
        """
        key, number = (morpheme.normalized_form(), morpheme.part_of_speech_id()), morpheme.word_id()
        known = self._forms.get(key, _UNKNOWN)
        if known is _UNKNOWN:
            if len(self._forms) >= _FORMS:
                self._forms.clear()
            found = _form(key[0], *morpheme.part_of_speech()[:2])
            self._forms[key] = known = found and (*found, _token_count(found[0]))
        if number < _NO_ENTRY:
            if len(self._entries) >= _FORMS:
                self._entries.clear()
            self._entries[number] = known
        return known

    def query(self, text: str, /) -> Query:
        """Query each content word, and adjacent words as phrases; particles only if there is nothing else."""
        words = list(self.words(text))
        content = [word for word in words if word.content] or words
        asked = [word for word in content if not word.symbol] or content
        forms = _unique(word.form for word in asked)
        pairs = _unique(f"{a.form} {b.form}" for a, b in pairwise(content) if a.end == b.start)
        return Query(frozenset(forms), tuple(forms), tuple(pairs))

    def phrase(self, text: str, /) -> str:
        """Ask for all words of the phrase in a row."""
        forms = [word.form for word in self.words(text)]
        return _quote(" ".join(forms)) if forms else ""

    def _tokenizer(self) -> Any:
        from sudachipy import SplitMode

        if not hasattr(self._local, "tokenizer"):
            self._local.tokenizer = self._dictionary.tokenizer(mode=SplitMode.A)
        return self._local.tokenizer


_Known = tuple[str, bool, bool, int]
"""Of a word: form, content, symbol, and `_token_count` of the form."""


def _token_count(form: str) -> int:
    """Return 1 if the full text takes a form as it is, else minus the number of tokens that it makes of it."""
    made = tokens(form)
    return 1 if made == (form,) else -len(made)


def _form(normalised: str, kind: str, detail: str) -> tuple[str, bool, bool] | None:
    """Return (form, content, symbol) of a morpheme, or None for white space and punctuation."""
    form = "".join(unicodedata.normalize("NFKC", normalised).casefold().replace("\0", "").split())
    symbol = kind in ("補助記号", "記号") and not any(character.isalnum() for character in form)
    if not form or (symbol and not any(c in _SYMBOLS or unicodedata.category(c)[0] == "S" for c in form)):
        return None
    content = kind not in _GRAMMAR and form not in _LIGHT and detail != "助動詞語幹"
    return form, content, symbol


class BigramAnalyser:
    """Overlapping pairs of Japanese characters, and whole words of other scripts. Needs no dictionary."""

    name = "bigram"
    version = f"rules 1, fold {FOLD_VERSION}"

    # A run of kana and kanji, a run of other letters and digits, or one symbol that a name may hold (C++, C#).
    _RUN = deferred(rf"(?P<japanese>[{_JAPANESE}]+)|(?:(?![{_JAPANESE}])[^\W_])+|(?P<symbol>[+#@%&*])")

    def forms(self, text: str, /) -> Iterator[str]:
        """Yield the pairs."""
        return (word.form for word in self.words(text))

    def index_words(self, text: str, /) -> IndexWords:
        """Return the pairs; their offsets, which take no dictionary, are found again."""
        return IndexWords(" ".join(self.forms(text)))

    def words(self, text: str, /, only: Collection[str] | None = None) -> Iterator[Word]:
        """Yield a pair for each Japanese character and its successor; the last of a run is single.

        With `only`, those of some forms are yielded, and of a single character the pairs that begin with it.
        """
        folded = _fold(text)
        for match in self._RUN.finditer(folded.text):
            width = 2 if match["japanese"] else len(match[0])
            for begin in range(match.start(), match.end() if match["japanese"] else match.start() + 1):
                stop = min(begin + width, match.end())
                if only is not None and folded.text[begin:stop] not in only and folded.text[begin] not in only:
                    continue
                start, end = folded.span(begin, stop)
                yield Word(folded.text[begin:stop], start, end, symbol=bool(match["symbol"]))

    def query(self, text: str, /) -> Query:
        """Query each pair, and each run as a phrase; a single character matches the pairs that begin with it."""
        groups: list[list[str]] = []
        singles: list[str] = []
        end = -1  # of a run of letters or symbols that the next may go on with: C++
        for match in self._RUN.finditer(_fold(text).text):
            run = match[0]
            if not match["japanese"]:
                if match.start() != end:
                    groups.append([])
                groups[-1].append(run)
                end = match.end()
            elif len(run) > 1:
                groups.append([run[i : i + 2] for i in range(len(run) - 1)])
            else:
                singles.append(run)
        forms = [form for group in groups for form in group]
        # Pairs of hiragana are mostly grammar, and a symbol counts next to a word only.
        strong = [form for form in forms if form[0].isalnum() and not _HIRAGANA.fullmatch(form)]
        asked = _unique(strong or forms)
        if not asked:
            return Query(frozenset(singles), tuple(_unique(singles)), begins=True)
        phrases = _unique(" ".join(group) for group in groups if len(group) > 1)
        return Query(frozenset(asked), tuple(asked), tuple(phrases))

    def phrase(self, text: str, /) -> str:
        """Ask for the pairs of the phrase in a row; the character that it ends with may go on."""
        words = list(self.words(text))
        single = bool(words) and len(words[-1].form) == 1 and bool(re.fullmatch(f"[{_JAPANESE}]", words[-1].form))
        if single and len(words) > 1 and words[-2].end == words[-1].end:
            words, single = words[:-1], False
        if not words:
            return ""
        return _quote(" ".join(word.form for word in words)) + (" *" if single else "")


def index_words(analyser: Analyser, text: str, shown: str | None = None, /) -> IndexWords:
    """Return the words of a passage as the index keeps them.

    Args:
        analyser: The index's.
        text: What is searched.
        shown: What is shown, where that differs: the offsets are those in it.

    Example:
        >>> index_words(analyser("bigram"), "猫がいる").words
        '猫が がい いる る'
    """
    found = analyser.index_words(text)
    return found if shown is None else as_shown(analyser, found, shown)


def as_shown(analyser: Analyser, words: IndexWords, shown: str, /) -> IndexWords:
    """Return words with their offsets in the text that is shown: the same words between signs, such as Markdown's.

    None are kept if there are others, such as those of a link's address. Signs have none.

    Args:
        analyser: The index's.
        words: Those of the text that is searched.
        shown: The other text.
    """
    if words.offsets is None:
        return words
    there = iter([word for word in analyser.words(shown) if not is_sign(word.form)])
    spans: list[tuple[int, int]] = []
    last = 0
    for form in filter(None, words.words.split(" ")):
        word, count = None, _token_count(form)
        if not is_sign(form):
            word = next(there, None)
            if word is None or word.form != form:
                return IndexWords(words.words)
        if word is not None and count == 1:
            spans.append((word.start, word.end))
            last = word.end
        else:
            spans += [(last, last)] * abs(count)
    return IndexWords(words.words, packed(spans) if next(there, None) is None else None)


def is_sign(form: str, /) -> bool:
    """Return True if a form has no letter or digit.

    Example:
        >>> is_sign("#"), is_sign("c#")
        (True, False)
    """
    return not any(map(str.isalnum, form))


def requirements(analyser: Analyser, phrases: Iterable[str], excluded: Iterable[str], /) -> tuple[str, str]:
    """Return the FTS5 expressions that a passage must match and must not match; empty for none.

    Args:
        analyser: The index's.
        phrases: What must occur.
        excluded: What must not.
    """
    needed, unwanted = ([f"({made})" for made in map(analyser.phrase, texts) if made] for texts in (phrases, excluded))
    return " AND ".join(needed[:MAX_WORDS]), " OR ".join(unwanted[:MAX_WORDS])


@lru_cache(maxsize=256)
def matched(name: str, forms: frozenset[str], passage: str, /) -> tuple[Word, ...]:
    """Return the words of a passage that a query has; the passages of the last queries are not analysed again.

    Args:
        name: The analyser.
        forms: The query's.
        passage: A text.
    """
    return tuple(analyser(name).words(passage, forms))


def highlights(analyser: Analyser, query: Query, passage: str, /) -> tuple[tuple[int, int], ...]:
    """Return the offsets in the passage of the query's words, ascending; touching ones are joined."""
    spans = []
    for word in matched(analyser.name, query.forms, passage):
        start, end = word.start, word.end
        if word.form not in query.forms:
            if word.form[:1] not in query.forms or analyser.name != "bigram":
                continue
            end = start + 1
        spans.append((start, end))
    return joined(spans)


def joined(spans: Iterable[tuple[int, int]], /) -> tuple[tuple[int, int], ...]:
    """Return spans, ascending, with touching ones as one.

    Example:
        >>> joined([(0, 2), (2, 3), (5, 6)])
        ((0, 3), (5, 6))
    """
    found: list[tuple[int, int]] = []
    for start, end in spans:
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return tuple(found)


def _fold(text: str) -> Aligned:
    """Join lines wrapped by hand, then fold width and case."""
    from jnlp.text.align import Builder, compose
    from jnlp.text.normalize import fold

    builder, done = Builder(text), 0
    for match in _WRAP.finditer(text):
        if match.start() - (text.rfind("\n", 0, match.start()) + 1) >= _WRAPPED:
            builder.copy(done, match.start())
            done = match.end()
    builder.copy(done, len(text))
    joined = builder.build()
    return compose(joined, fold(joined.text))


def _characters(folded: Aligned) -> tuple[Sequence[int], Sequence[int]]:
    """Return where each character of a folded text begins and ends in the original."""
    if folded.is_identity:
        return range(len(folded.text)), range(1, len(folded.text) + 1)
    begins: list[int] = []
    ends: list[int] = []
    for start, stop, first, last, copied in folded.pieces():
        begins += range(first, last) if copied else [first] * (stop - start)
        ends += range(first + 1, last + 1) if copied else [last] * (stop - start)
    return begins, ends


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Yield (offset, part) of a text in parts within Sudachi's limit, cut after a full stop or a space."""
    start = 0
    while start < len(text):
        end = min(start + PIECE, len(text))
        if end < len(text):
            end = max(text.rfind("。", start, end), text.rfind(" ", start, end), start + PIECE // 2 - 1) + 1
        yield start, text[start:end]
        start = end


def _unique(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))[:MAX_WORDS]


def _quote(phrase: str) -> str:
    """Return an FTS5 string: quoted, so that nothing is an operator, with quotes doubled."""
    return '"' + phrase.replace('"', '""') + '"'
