"""`python -m jnlp_family.masked_lm.made_texts DATA OUT`: texts for `tiny` that are made by rule.

`small_talk.jsonl` has sentences on the weather and greetings, built from templates: real corpora ask about the weather
much more often than they say what it is. `statements.jsonl` joins questions of task sets with their right answers.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jnlp.errors import status_of
from jnlp.io import ReadOptions
from jnlp.io.reading.decoded import lines
from jnlp.io.reading.inputs import Input
from jnlp.strict_json import dumps
from jnlp_evaluate.masked.cloze import read_items

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from jnlp_evaluate.masked.cloze import Item

SENTENCES = 12_000
"""Different sentences of small talk, at most."""


def _words(text: str) -> list[str]:
    """Return the words of a text that has spaces between them."""
    return text.split()


_WEATHER = _words(
    "晴れ 快晴 曇り くもり 雨 小雨 大雨 雪 大雪 雷雨 みぞれ 霧 晴れのち曇り 曇りのち雨 曇り時々雨 晴れ時々曇り"
    " 曇りのち晴れ 雨のち晴れ 雪のち曇り"
)
_WHEN = _words(
    "今日 明日 昨日 あさって 今朝 今夜 今晩 午前中 午後 夕方 週末 来週 土曜日 日曜日 月曜日 火曜日 水曜日 木曜日"
    " 金曜日 祝日 連休 大晦日 元日 遠足の日 運動会の日 結婚式の日 旅行の初日 卒業式の日"
)
_PAST = {"昨日", "今朝", "遠足の日", "運動会の日", "結婚式の日", "旅行の初日", "卒業式の日"}
_WHERE = _words(
    "東京 大阪 京都 札幌 福岡 名古屋 仙台 広島 沖縄 横浜 神戸 金沢 新潟 長野 静岡 奈良 高知 松山 熊本 鹿児島 那覇"
    " 函館 青森 秋田 盛岡 福島 岡山 山の上 山沿い 海沿い 関東地方 東北地方 九州 四国 北陸 日本海側 太平洋側 こちら"
    " 私の町 実家のあたり ロンドン パリ ソウル 台北 シドニー"
)
_FEELING = _words("暑い 寒い 暖かい 涼しい 蒸し暑い 肌寒い 過ごしやすい 風が強い 天気が悪い 天気がいい 日差しが強い")
_SEASONS = _words("春 夏 秋 冬 梅雨 真夏 真冬 年末 お正月 お盆")
_GREETINGS = _words(
    "おはようございます。 おはよう。 こんにちは。 こんばんは。 お疲れさまです。 お久しぶりです。"
    " いつもお世話になっております。 ご無沙汰しています。 先日はありがとうございました。"
    " お元気ですか。 よく眠れましたか。 お先に失礼します。"
    " 行ってきます。 ただいま。 お帰りなさい。 今日もよろしくお願いします。"
)
_ACTS = _words(
    "洗濯 買い物 ハイキング 花見 釣り 庭仕事 掃除 ドライブ 海水浴 バーベキュー 部屋で読書 温泉 サイクリング 登山"
    " 写真撮影 ジョギング 昼寝 料理"
)
_REMARKS = _words(
    "いい天気ですね。 今日はよく晴れていますね。 すっきりしない天気ですね。 空がどんよりと曇っています。"
    " 青空が広がっています。 雲ひとつない空です。 星がきれいに見えます。"
    " 朝から雨です。 朝から晴れています。 昼過ぎから曇ってきました。"
    " 夜には雪になりそうです。 虹が出ました。 風が冷たくなってきました。 日が短くなりましたね。 日が長くなりましたね。"
    " 雨がやみました。 雨がやんで、晴れてきました。 もうすぐ梅雨が明けます。 桜が咲き始めました。 紅葉がきれいです。"
    " 初雪が降りました。 台風が近づいています。 遠くで雷が鳴っています。 霧で前がよく見えません。"
    " 湿気が多くて蒸し暑いです。"
)
_ASKED = (
    "{when}の天気はどうですか。",
    "{where}の天気はいかがですか。",
    "そちらの天気はどうですか。",
    "外は晴れていますか。",
)
_SAID = (
    "{when}の天気は{weather}です。",
    "{when}の天気は{weather}です。",
    "{when}の天気は{weather}ですね。",
    "{when}の{where}の天気は{weather}です。",
    "{when}、{where}の天気は{weather}です。",
    "{where}の天気は{weather}です。",
    "{where}は{weather}です。",
    "{when}は{weather}です。",
    "{when}も{weather}です。",
    "{when}の天気は{weather}のようです。",
    "{when}の天気は{weather}だそうです。",
    "{when}は{weather}になるそうです。",
    "天気予報によると、{when}は{weather}です。",
    "予報では{when}の天気は{weather}でした。",
    "{when}の天気は{weather}、最高気温は{degrees}度です。",
    "{where}の{when}の天気は{weather}、気温は{degrees}度でした。",
    "{when}の天気予報は{weather}です。",
    "あいにく{when}は{weather}です。",
    "{season}の{where}は{weather}の日が多いです。",
    "{season}は{feeling}です。",
    "{when}は{feeling}ですね。",
    "{where}は{feeling}です。",
    "{when}は{feeling}ので、{act}をしたいです。",
    "{weather}なので、{act}はやめておきます。",
    "{weather}だったので、{act}をして過ごしました。",
    "{when}が{weather}なら、{act}に行きましょう。",
    "{greeting}{when}は{feeling}ですね。",
    "{greeting}{where}は{weather}です。",
    "{greeting}{remark}",
    "{remark}{act}日和です。",
    "{remark}",
)
_ENDS = (
    "はどれ?",
    "は何?",
    "はどこ?",
    "は誰?",
    "はなに?",
    "とは何?",
    "は?",
    "はどれですか?",
    "は何ですか?",
    "は何と言う?",
)
_HEARD = ("というでしょう?", "でしょう?")


def small_talk(seed: int = 0) -> list[str]:
    """Return short texts on the weather: single sentences, and a few lines of talk; no sentence of the cloze test."""
    rng = random.Random(seed)
    items = read_items()
    made = dict.fromkeys(_sentence(rng, _SAID) for _ in range(4 * SENTENCES))
    sentences = [sentence for sentence in made if not near_cloze(sentence, items)]
    texts: list[str] = []
    for sentence in sentences[:SENTENCES]:
        shape = rng.random()
        if shape < 0.5:
            texts.append(sentence)
        elif shape < 0.75:
            texts.append(f"{_sentence(rng, _ASKED)}\n{sentence}")
        elif shape < 0.9:
            texts.append(f"{rng.choice(_GREETINGS)}\n{sentence}")
        else:
            texts.append(f"{rng.choice(_GREETINGS)}\n{_sentence(rng, _ASKED)}\n{sentence}\nそうですか。")
    return texts


def _sentence(rng: random.Random, forms: tuple[str, ...]) -> str:
    when, form = rng.choice(_WHEN), rng.choice(forms)
    made = form.format(
        when=when,
        where=rng.choice(_WHERE),
        weather=rng.choice(_WEATHER[:7] if rng.random() < 0.6 else _WEATHER),
        degrees=rng.randint(1, 36),
        season=rng.choice(_SEASONS),
        feeling=rng.choice(_FEELING),
        act=rng.choice(_ACTS),
        greeting=rng.choice(_GREETINGS),
        remark=rng.choice(_REMARKS),
    )
    return made.replace("です。", "でした。") if when in _PAST and when in made and "天気は" in made else made


def cloze_sentences() -> list[str]:
    """Return the sentences of the cloze test with each of their answers, without their full stop, after NFKC."""
    filled = (item.text.replace("<mask>", answer) for item in read_items() for answer in item.answers)
    return [unicodedata.normalize("NFKC", text).removesuffix("。") for text in filled]


def near_cloze(sentence: str, items: Sequence[Item]) -> bool:
    """Return whether a sentence has both sides of an item of the cloze test, whatever is between them."""
    return any(
        all(part.strip("。、") in sentence for part in item.parts) and max(map(len, item.parts)) > 3 for item in items
    )


def statement(question: str, answer: str) -> str:
    """Return a question and its short answer as a sentence.

    Example:
        >>> statement("日本で一番大きい湖は?", "琵琶湖"), statement("これを何というでしょう?", "鏡")
        ('日本で一番大きい湖は琵琶湖である。', 'これを何というでしょう?答えは鏡。')
    """
    text = unicodedata.normalize("NFKC", question).strip()
    if not text.endswith(_HEARD):
        for end in sorted(_ENDS, key=len, reverse=True):
            if text.endswith(end):
                return f"{text.removesuffix(end)}は{answer}である。"
    return f"{text}答えは{answer}。"


def statements(data: Path) -> Iterator[str]:
    """Yield the texts of task sets, each with its question or title."""
    for row in _rows(data / "jcommonsenseqa" / "train.jsonl"):
        yield statement(row["question"], row["choices"][row["label"]])
    for row in _rows(data / "definitions" / "train.jsonl"):
        short = row["id"].startswith("quiz-")
        yield statement(row["query"], row["positive"]) if short else row["positive"]
    for name in ("answers/train.jsonl", "faq/train.jsonl", "sections/train.jsonl.xz", "scud/train.jsonl.xz"):
        for row in _rows(data / name):
            yield f"{row['query']}\n{row['positive']}"


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with lines(Input(str(path), path), ReadOptions()) as decoded:
        yield from (json.loads(line) for line in decoded if line.strip())


def _write(path: Path, texts: Iterable[str]) -> None:
    path.write_text("".join(dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")


def make_texts(data: Path, out: Path) -> None:
    """Write `small_talk.jsonl` and `statements.jsonl` into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "small_talk.jsonl", small_talk())
    _write(out / "statements.jsonl", dict.fromkeys(statements(data / "tasks")))


def main(arguments: list[str] | None = None, /) -> int:
    """Write the two files; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m jnlp_family.masked_lm.made_texts", description=__doc__)
    parser.add_argument("data", type=Path, help="the data folder")
    parser.add_argument("out", type=Path, help="the folder to write to")
    args = parser.parse_args(arguments)
    return status_of(lambda: make_texts(args.data, args.out))


if __name__ == "__main__":
    sys.exit(main())
