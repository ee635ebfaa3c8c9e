"""Rows that the toxicity decision is fitted and measured on: judged ones, plain ones, and ones made by rule."""

from __future__ import annotations

import hashlib
import itertools
import json
import lzma
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jnlp_toxicity.decision import SIGNS
from jnlp_toxicity.lexicon import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


TRAIN, VALID, TEST = "train", "valid", "test"
BOARD, MADE = "board", "made"
RTPLX = ("rtplx prompts", "rtplx completions")
JUDGED = (BOARD, MADE, *RTPLX)
"""The sources with toxic rows; the others are corpora of plain text."""

_MOST = 300


@dataclass(frozen=True, slots=True)
class Row:
    """One text: whether it is toxic, where it is from, and which part of the rows it belongs to."""

    text: str
    toxic: bool
    source: str
    part: str


def all_rows(data: Path, plain: int = 1500, /) -> list[Row]:
    """Return the rows of every source, the same every time; `plain` from each corpus at most."""
    return [*board_rows(data), *rtplx_rows(data), *plain_rows(data, plain), *made_rows(), *threat_rows()]


def chosen_rows(rows: Sequence[Row], most: int | None = None, /) -> list[Row]:
    """Return the judged and made rows, and of each corpus as many plain ones as the models read.

    Args:
        rows: The rows.
        most: Rows of each part of any source, at most; for trials.
    """
    seen: dict[tuple[str, str], int] = {}
    kept = []
    for row in rows:
        kind = (row.source, row.part)
        seen[kind] = seen.get(kind, 0) + 1
        judged = row.source in JUDGED
        if (judged or seen[kind] <= _BY_MODEL.get(row.source, 170)) and (most is None or seen[kind] <= most):
            kept.append(row)
    return kept


_BY_MODEL = {"fiction": 400, "translated fiction": 400}
"""Plain texts of each part of a corpus that the models read; fiction has the most false alarms."""


def board_rows(data: Path, /) -> list[Row]:
    """Return the judged posts of a message board; a tenth to choose by, a tenth to measure on, by hash of the id."""
    rows = []
    for row in _lines(data / "tasks/board_toxicity/train.jsonl"):
        if row["label"] is not None:
            byte = hashlib.sha256(row["id"].encode()).digest()[0]
            part = TEST if byte < 26 else VALID if byte < 51 else TRAIN
            rows.append(Row(row["text"], row["label"] == 1, BOARD, part))
    return rows


def rtplx_rows(data: Path, /) -> list[Row]:
    """Return the judged rows of RTP-LX in its own parts."""
    return [
        Row(row["text"], row["label"] == 1, RTPLX[row["kind"] != "prompt"], part)
        for part in (TRAIN, VALID, TEST)
        for row in _lines(data / f"tasks/rtplx_toxicity/{part}.jsonl")
        if row["label"] is not None
    ]


def plain_rows(data: Path, most: int, /) -> list[Row]:
    """Return plain texts of each corpus, taken in thirds to train, choose and measure."""
    rows: list[Row] = []
    for source, (name, take) in PLAIN.items():
        texts = {text.strip() for row in _lines(data / name) for text in take(row) if len(text.strip()) > 1}
        chosen = sorted(texts, key=_digest)[:most]
        rows += [Row(text, False, source, (TEST, VALID, TRAIN)[number % 3]) for number, text in enumerate(chosen)]
    return rows


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _opening(row: dict[str, Any]) -> list[str]:
    return ["".join(part + "。" for part in row["text"].replace("\n", "").split("。")[:2] if part)[:200]]


def _middle(row: dict[str, Any]) -> list[str]:
    long = [part for part in row["text"].splitlines() if len(part) > 10] or [""]
    return [long[len(long) // 2][:_MOST], long[len(long) // 3][:_MOST]]


def _turns(row: dict[str, Any]) -> list[str]:
    turns = row["text"].splitlines()
    return ["\n".join(turns[2:6]), *turns[5:6]]


def _each(first: int, last: int, step: int) -> Callable[[dict[str, Any]], list[str]]:
    return lambda row: row["text"].splitlines()[first:last:step]


PLAIN: dict[str, tuple[str, Any]] = {
    "news": ("corpus/wikinews-000.jsonl.xz", _opening),
    "encyclopaedia": ("corpus/wikileads-000.jsonl.xz", _middle),
    "articles": ("corpus/jaquad-000.jsonl.xz", _middle),
    "fiction": ("corpus/aozora-003.jsonl.xz", _middle),
    "translated fiction": ("corpus/aozora_cc-000.jsonl.xz", _each(10, 200, 20)),
    "dialogue": ("corpus/personachat-000.jsonl.xz", _turns),
    "chat": ("corpus/partychat-000.jsonl.xz", _each(3, 40, 4)),
    "documentation": ("corpus/msdocs-000.jsonl.xz", _middle),
    "programming books": ("corpus/techbooks-000.jsonl.xz", _middle),
    "sentences": ("corpus/tanaka-000.jsonl.xz", _each(0, 4, 1)),
    "surveys": ("corpus/survey-000.jsonl.xz", _each(0, 3, 1)),
    "blogs": ("corpus/blog-000.jsonl.xz", _middle),
    "words": ("tasks/synonyms/train.jsonl", lambda row: (row["query"],)),
}
"""The corpora of plain text: their file, and what is taken of a record."""

_ACCUSING = ("{}", "お前は{}だ", "この{}が", "{}、二度と来るな", "ほんと{}だなこいつ", "{}！", "うわ、{}", "{}じゃん")
_PASSING = (
    "「{}」と言われて傷ついた。", "友達に{}と言われて悲しい。", "{}という言葉は使わないでください。",
    "{}の語源を調べた。",
    "ネットに「{}」と書き込まれ、警察に相談した。", "「{}」は差別的な表現とされる。", "{}なんて言っちゃだめだよ。",
    "男は「{}」と怒鳴った疑いで逮捕された。",
    "{}という単語の意味を辞書で引く。",
    "彼に「{}」と呼ばれた。",
)  # fmt: skip
_SIGNS = ("★", "・", "🙂", "ー", "*", "…", "\u200b", "♥")


def made_rows() -> list[Row]:
    """Return every plain or severe word of the list in accusing and passing sentences, plain and in disguise.

    The allowed expressions join them as clean. Words are parted by hash, so that those measured on are seen by no fit.
    """
    lexicon = load()
    rows = []
    for entry in sorted(set(lexicon.words), key=lambda entry: entry.word):
        if entry.severity < _PLAIN_LEVEL or entry.latin or entry.category in SIGNS:
            continue
        seed = _digest(entry.word)
        part = _part(entry.word)
        hidden = _SIGNS[seed[1] % len(_SIGNS)].join(entry.word)
        spellings = (entry.word, entry.word, hidden)
        frames = ("{}", _ACCUSING[seed[2] % len(_ACCUSING)], _ACCUSING[seed[3] % len(_ACCUSING)])
        rows += [Row(frame.format(word), True, MADE, part) for frame, word in zip(frames, spellings, strict=True)]
        passing = (_PASSING[seed[4] % len(_PASSING)], _PASSING[seed[5] % len(_PASSING)])
        rows += [Row(frame.format(entry.word), False, MADE, part) for frame in dict.fromkeys(passing)]
    for entry in sorted(set(lexicon.allowed), key=lambda entry: entry.word):
        rows.append(Row(entry.word, False, MADE, _part(entry.word)))
    return rows


_WHEN = ("次に会ったら", "今度来たら", "明日", "いつか", "逃げても", "夜道で", "絶対に", "")
_HARM = (
    "殺すからな", "刺してやる", "ぶん殴ってやる", "殴るからな", "刺すぞ", "ぶっ殺す", "沈めてやるぞ", "殺しに行くぞ",
    "ボコボコにしてやる", "殺してやるから待ってろ",
)  # fmt: skip
_HARMLESS = (
    "返すからな", "教えてやる", "奢ってやる", "手伝うからな", "話すぞ", "届けてやるぞ", "迎えに行くぞ",
    "片付けてやる", "買ってやるから待ってろ", "ゴキブリを叩き殺してやる", "蚊を殺すからな", "プロセスを殺すぞ",
    "雑草を燃やしてやる",
)  # fmt: skip
_MORE_THREATS = (
    "家に火をつけてやる", "職場を爆破するぞ", "住所は特定済みだからな、覚悟しろ", "ただで済むと思うな", "覚えてろよ",
    "無事に帰れると思うな", "夜道には気をつけろ", "家族がどうなってもいいのか", "背中に気をつけろよ", "後悔させてやる",
    "地獄に送ってやる", "お前の会社に行って暴れてやるからな", "学校に行けなくしてやる", "タヒね", "タヒねよ", "氏ね",
)  # fmt: skip


def threat_rows() -> list[Row]:
    """Return threats by their grammar, and promises of the same grammar without a threat."""
    rows = []
    for frames, toxic in ((_HARM, True), (_HARMLESS, False)):
        for when, act in itertools.product(_WHEN, frames):
            rows.append(Row(when + act, toxic, MADE, _part(when + act)))
    return rows + [Row(text, True, MADE, _part(text)) for text in _MORE_THREATS]


def _part(text: str) -> str:
    return _PARTS[_digest(text)[0] % len(_PARTS)]


_PLAIN_LEVEL = 0.5
_PARTS = (TRAIN, TRAIN, TRAIN, VALID, TEST)
