"""Sentences with personal data in many spellings, and sentences with what only looks like it; made by rule."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_WIDE = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)})
_HYPHENS = ("-", "－", "ー", "‐", "−", "–")
_SURNAME_WORDS = (
    "佐藤 鈴木 高橋 田中 伊藤 渡辺 山本 中村 小林 加藤 吉田 山田 佐々木 松本 井上 木村 林 斎藤 清水 山口 森 池田 "
    "橋本 阿部 石川 山崎 中島 石井 小川 前田 岡田 "
    "長谷川 藤田 後藤 近藤 村上 遠藤 青木 坂本 斉藤 福田 太田 西村 藤井 金子 岡本 中野 三浦 原田 中川 松田 竹内 "
    "小野 田村 中山 和田 石田 森田 上田 原 内田 柴田 "
    "酒井 宮崎 横山 高木 安藤 宮本 大野 小島 谷口 今井 工藤 千葉 福島 長野 宮城 香川 秋田 久保田 大和田 日下部 "
    "五十嵐 早乙女 勅使河原"
)
_SURNAMES = _SURNAME_WORDS.split()
_GIVEN_WORDS = (
    "太郎 花子 健一 美咲 誠 翔太 陽子 大輔 直樹 優子 拓也 愛 健太 恵子 隆 由美 和也 真由美 哲也 智子 浩二 さくら "
    "蓮 葵 結衣 大翔 ひなた 美穂 一郎 幸子 茂 明美 "
    "修 久美子 剛 裕子 豊 京子 学 直美 亮 麻衣 悠斗 凛"
)
_GIVEN = _GIVEN_WORDS.split()
_TITLES = ("さん", "様", "さま", "氏", "殿", "くん", "先生", "部長", "課長", "ちゃん")
_TOWNS = (
    "東京都千代田区丸の内",
    "東京都新宿区西新宿",
    "東京都八王子市元本郷町",
    "大阪府大阪市北区梅田",
    "神奈川県横浜市西区みなとみらい",
    "北海道札幌市中央区北一条西",
    "愛知県名古屋市中区三の丸",
    "福岡県福岡市博多区博多駅前",
    "京都府京都市下京区東塩小路町",
    "埼玉県さいたま市浦和区高砂",
    "茨城県つくば市吾妻",
    "沖縄県那覇市泉崎",
    "長野県北佐久郡軽井沢町長倉",
    "広島市中区基町",
    "仙台市青葉区国分町",
    "新潟県新潟市中央区新光町",
    "兵庫県神戸市中央区加納町",
    "静岡県浜松市中区元城町",
    "千葉県船橋市湊町",
    "岩手県盛岡市内丸",
    "奈良県吉野郡吉野町吉野山",
    "鹿児島県鹿児島市鴨池新町",
)
_ERAS = (("昭和", "S", 1925, 64), ("平成", "H", 1988, 31), ("令和", "R", 2018, 7))
_KANJI = "〇一二三四五六七八九"


@dataclass(frozen=True, slots=True)
class Made:
    """A sentence, and the personal data that it has: category and text."""

    text: str
    found: tuple[tuple[str, str], ...]


def made(count: int, seed: int = 0, /) -> list[Made]:
    """Return `count` sentences for each category, the same every time, and the sentences with none."""
    dice = random.Random(seed)
    rows = []
    for category, (value, frames) in _KINDS.items():
        for number in range(count):
            text = value(dice)
            frame = frames[number % len(frames)]
            if dice.random() < 0.25 and category not in ("name", "url", "ip", "email"):
                text = text.translate(_WIDE)
            rows.append(Made(frame.format(text), ((category, text),)))
    return rows


def harmless(count: int, seed: int = 0, /) -> list[str]:
    """Return sentences with numbers, names and places that are no personal data."""
    dice = random.Random(seed)
    return [_HARMLESS[number % len(_HARMLESS)](dice) for number in range(count)]


def _digits(dice: random.Random, count: int) -> str:
    return "".join(str(dice.randrange(10)) for _ in range(count))


def _joined(dice: random.Random, *parts: str) -> str:
    style = dice.randrange(8)
    if style == 0:
        return " ".join(parts)
    if style == 1 and len(parts) == 3:
        return f"{parts[0]}({parts[1]}){parts[2]}"
    if style == 2 and len(parts) == 3:
        return f"({parts[0]}){parts[1]}-{parts[2]}"
    return dice.choice(_HYPHENS if style > 4 else ("-",)).join(parts)


def _phone(dice: random.Random) -> str:
    kind = dice.randrange(7)
    if kind == 0:
        return dice.choice(("090", "080", "070")) + _digits(dice, 8)
    if kind == 1:
        return f"+81-{dice.choice(('90', '80', '3', '6'))}-{_digits(dice, 4)}-{_digits(dice, 4)}"
    if kind == 2:
        return f"0120-{_digits(dice, 3)}-{_digits(dice, 3)}"
    if kind == 3:
        return _joined(dice, dice.choice(("090", "080", "070", "050")), _digits(dice, 4), _digits(dice, 4))
    if kind == 4:
        return _joined(dice, dice.choice(("03", "06")), str(dice.randrange(3000, 7000)), _digits(dice, 4))
    if kind == 5:
        return _joined(
            dice,
            dice.choice(("045", "052", "092", "011", "075", "022")),
            str(dice.randrange(200, 999)),
            _digits(dice, 4),
        )
    return _joined(dice, dice.choice(("0466", "0742", "0263", "0985")), str(dice.randrange(20, 99)), _digits(dice, 4))


def _name(dice: random.Random) -> str:
    surname, given = dice.choice(_SURNAMES), dice.choice(_GIVEN)
    return dice.choice(
        (surname, surname, surname + given, f"{surname}{given}", f"{surname} {given}", f"{surname}　{given}")
    )


def _full_name(dice: random.Random) -> str:
    return f"{dice.choice(_SURNAMES)}{dice.choice(('', ' ', '　'))}{dice.choice(_GIVEN)}"


def _email(dice: random.Random) -> str:
    name = dice.choice(("taro", "hanako.yamada", "info", "k-suzuki", "sato_99", "a.b+c"))
    host = dice.choice(("gmail.com", "yahoo.co.jp", "docomo.ne.jp", "kaisha-net.co.jp", "mail.univ-a.ac.jp"))
    return f"{name}{_digits(dice, 2)}@{host}"


def _postal(dice: random.Random) -> str:
    return f"{dice.randrange(10, 999):03d}{dice.choice(('-', '-', '-', '－', 'ー', ''))}{_digits(dice, 4)}"


def _address(dice: random.Random) -> str:
    town, a, b, c = dice.choice(_TOWNS), *(dice.randrange(1, 30) for _ in range(3))
    block = dice.choice(
        (
            f"{a}-{b}-{c}",
            f"{a}丁目{b}番{c}号",
            f"{a}丁目{b}-{c}",
            f"{a}－{b}",
            f"{a}番地",
            f"{a}番地の{b}",
            f"{_kanji(a)}丁目{_kanji(b)}番地{_kanji(c)}号",
            f"{a}ー{b}ー{c}",
        )
    )
    return town + block + dice.choice(("", "", "", "中央ビル3階", " メゾン青葉203号室", "　青空マンション101"))


def _kanji(number: int) -> str:
    tens, ones = divmod(number, 10)
    return (("" if tens == 1 else _KANJI[tens]) + "十" if tens else "") + (_KANJI[ones] if ones else "")


def _birthday(dice: random.Random) -> str:
    month, day = dice.randrange(1, 13), dice.randrange(1, 29)
    era, letter, zero, most = dice.choice(_ERAS)
    year = dice.randrange(2, most)
    return dice.choice(
        (
            f"{zero + year}年{month}月{day}日",
            f"{zero + year}/{month:02d}/{day:02d}",
            f"{zero + year}-{month:02d}-{day:02d}",
            f"{zero + year}.{month}.{day}",
            f"{era}{year}年{month}月{day}日",
            f"{letter}{year}.{month}.{day}",
            f"{era}{_kanji(year)}年{_kanji(month)}月{_kanji(day)}日",
            f"{era}元年{month}月{day}日" if era != "昭和" else f"昭和2年{month}月{day}日",
        )
    )


def _with_check(body: str, check: Callable[[str], str]) -> str:
    return body + check(body)


def _my_number(dice: random.Random) -> str:
    body = _digits(dice, 11)
    rest = sum(int(d) * (n + 1 if n <= 6 else n - 5) for n, d in enumerate(reversed(body), start=1)) % 11
    digits = body + str(0 if rest <= 1 else 11 - rest)
    return dice.choice((digits, "-".join(_fours(digits)), " ".join(_fours(digits))))


def _fours(digits: str) -> list[str]:
    return [digits[place : place + 4] for place in range(0, len(digits), 4)]


def _corporate(dice: random.Random) -> str:
    body = _digits(dice, 12)
    check = 9 - sum(int(d) * (1 if n % 2 else 2) for n, d in enumerate(reversed(body), start=1)) % 9
    return dice.choice(("", "T")) + str(check) + body


def _card(dice: random.Random) -> str:
    head, size = dice.choice((("4", 16), ("52", 16), ("3540", 16), ("37", 15)))
    body = head + _digits(dice, size - 1 - len(head))
    total = sum(v - 9 if v > 9 else v for v in (int(d) * (2 - n % 2) for n, d in enumerate(reversed(body))))
    digits = body + str(-total % 10)
    groups = _fours(digits) if size == 16 else [digits[:4], digits[4:10], digits[10:]]
    return dice.choice((digits if size == 16 else "-".join(groups), "-".join(groups), " ".join(groups)))


def _url(dice: random.Random) -> str:
    token = "".join(dice.choice("abcdefGHIJKL0123456789") for _ in range(24)) + "A7"
    return dice.choice(
        (
            f"https://app.kaisha-net.jp/reset?token={token}",
            f"https://api.kaisha-net.jp/v1?api_key={token}&q=1",
            f"https://user:{token}@git.kaisha-net.jp/x",
        )
    )


def _ip(dice: random.Random) -> str:
    head, second, third, fourth = dice.choice((126, 133, 153, 210)), *(dice.randrange(1, 250) for _ in range(3))
    words = [f"{dice.randrange(1, 4096):x}" for _ in range(3)]
    return dice.choice((f"{head}.{second}.{third}.{fourth}", f"2400:4050:{words[0]}:{words[1]}::{words[2]}"))


_KINDS: dict[str, tuple[Callable[[random.Random], str], tuple[str, ...]]] = {
    "phone": (
        _phone,
        (
            "電話は{}です。",
            "{}にお電話ください。",
            "TEL：{}",
            "携帯 {}",
            "ご連絡先（{}）まで",
            "FAXは{}、受付は平日のみです。",
            "急ぎなら{}へ。",
        ),
    ),
    "name": (
        lambda dice: _name(dice),
        tuple(
            f"{frame[0]}{{}}{title}{frame[1]}"
            for title in _TITLES
            for frame in (("", "から連絡がありました。"), ("昨日、", "に会った。"), ("担当の", "へお伝えください。"))
        ),
    ),
    "name in a form": (
        _full_name,
        (
            "氏名：{}",
            "お名前：{}　様",
            "申込者氏名: {}",
            "私は{}と申します。",
            "契約者：{}、以下甲という。",
            "名前は{}です。",
        ),
    ),
    "email": (
        _email,
        ("メールは{}です。", "{}宛に送ってください。", "連絡先：{}（平日）", "<{}>", "アドレスが{}に変わりました"),
    ),
    "postal-code": (_postal, ("〒{}", "郵便番号：{}", "〒 {} にお送りください。", "郵便番号は{}です。")),
    "address": (
        _address,
        ("住所は{}です。", "{}に住んでいます。", "お届け先：{}", "本籍地 {}", "勤務先の所在地（{}）", "送付先は、{}。"),
    ),
    "birthday": (
        _birthday,
        ("生年月日：{}", "{}生まれ。", "誕生日は{}です。", "{}生", "生年月日は{}、血液型はAです。", "生年月日（{}）"),
    ),
    "my-number": (
        _my_number,
        ("マイナンバーは{}です。", "個人番号：{}", "マイナンバー（個人番号） {}", "個人番号欄に{}と記入した。"),
    ),
    "corporate-number": (
        _corporate,
        ("法人番号：{}", "法人番号は{}です。", "登録番号 {}", "適格請求書発行事業者登録番号：{}"),
    ),
    "credit-card": (
        _card,
        ("カード番号は{}です。", "{}で決済してください。", "クレジットカード：{}", "カード {} 有効期限 12/28"),
    ),
    "bank-account": (
        lambda dice: _digits(dice, 7),
        (
            "みずほ銀行新宿支店 普通 {}",
            "口座番号：{}",
            "三菱UFJ銀行 本店 普通預金 {} に振り込み",
            "普通口座{}",
            "口座番号は{}です。",
            "当座 {}",
        ),
    ),
    "passport": (
        lambda dice: dice.choice(("TR", "MZ", "TK")) + _digits(dice, 7),
        ("パスポート番号：{}", "旅券番号は{}です。", "パスポート {}", "Passport No. {}"),
    ),
    "licence": (
        lambda dice: dice.choice(("30", "62", "45")) + _digits(dice, 10),
        ("運転免許証番号：{}", "免許証の番号は{}です。", "免許証番号 第{}号", "運転免許証 {}"),
    ),
    "url": (_url, ("再設定は{}から。", "リンク：{}", "{} にアクセスしてください。")),
    "ip": (_ip, ("接続元IPは{}です。", "{} からのアクセス", "IPアドレス：{}", "ログに{}が残っていた。")),
}

_HARMLESS: tuple[Callable[[random.Random], str], ...] = (
    lambda d: f"注文番号は{_digits(d, 10)}です。",
    lambda d: f"お問い合わせ番号 {_digits(d, 4)}-{_digits(d, 4)}-{_digits(d, 4)} をお控えください。",
    lambda d: (
        f"バージョン {d.randrange(1, 20)}.{d.randrange(20)}.{d.randrange(20)}.{d.randrange(200)} に更新しました。"
    ),
    lambda d: f"{d.randrange(1990, 2026)}年{d.randrange(1, 13)}月{d.randrange(1, 29)}日に発売された。",
    lambda d: f"第{d.randrange(1, 300)}条第{d.randrange(1, 9)}項の規定による。",
    lambda d: f"合計は{d.randrange(1000, 99999999):,}円でした。",
    lambda d: f"{d.choice(_TOWNS[:6])}で雨が降った。",
    lambda d: f"ISBN978-4-{_digits(d, 2)}-{_digits(d, 6)}-{_digits(d, 1)}",
    lambda d: f"型番はAB-{_digits(d, 3)}-{_digits(d, 4)}です。",
    lambda d: (
        f"{d.choice(('お客', '皆', 'お母', '店員', 'お巡り', '神', '奥', '患者'))}{d.choice(('様', 'さん'))}に聞いた。"
    ),
    lambda d: f"ルーターの設定は192.168.{d.randrange(256)}.{d.randrange(256)}です。",
    lambda d: f"試合は{d.randrange(10)}-{d.randrange(10)}-{d.randrange(10)}で終わった。",
    lambda d: f"{d.randrange(10, 24)}:{d.randrange(10, 60)}から{d.randrange(1, 9)}番ホームで。",
    lambda d: f"例：user{d.randrange(9)}@example.com のように入力します。",
    lambda d: f"https://www.kaisha-net.jp/page?id={_digits(d, 8)}&lang=ja",
    lambda d: f"追跡番号{_digits(d, 12)}で調べる。",
    lambda d: f"シリアル {_digits(d, 16)}",
    lambda d: f"会員は{d.randrange(100, 999)}万人、前年比{d.randrange(1, 30)}.{d.randrange(10)}%増。",
    lambda d: f"1丁目から{d.randrange(2, 9)}丁目まで停電した。",
    lambda d: f"普通{d.randrange(100, 999)}円のところ半額。",
)
