"""How likely a string is as Japanese, in bits. This decides between Shift_JIS and EUC-JP when both decode.

The costs are -log2 of character frequencies in Japanese prose, news, law, manuals and dialogue, rounded. Rarer
characters share costs by class. A wrong codec turns kana into rare kanji or into impossible half-width katakana.
"""

from __future__ import annotations

from jnlp.patterns import deferred

_BITS = {
    5: "の。、に",
    6: "いはするでたしをてとながーま",
    7: "かれっうンこもらりあよ",
    8: "そさスくんきトイルだ日リクけ第お年定つラッ彼め行",
    9: "一ねアタプどドえ私人ち事ロ「用」！テシ法コわ大合出条やレフジせば十み時び月二デ（）メ分関グ本場",
    10: (
        "生中新バ見項者ィ同ブ前数じろ使間方カサム？・女会国ポパ地成子当上マョ業要オ規三べ手的実エ書作入以自通発ェキ後"
        "へュ部下ず理気動聞ウ学次号表今名変物最チ内等ニご家何来対思金セビほ言ダょ及ネ『』立所げ"
    ),
    11: (
        "開機性設四令務長明期度目外必文全知ソ記ベケ体取話指ナ持付市代高計社報示ャ食又保五可員型ゃ更化意道特産好多ァ力"
        "小能選政ツ公受値画施結近む構係有車経正モ信該別律少東現山他置引認々続加初決ミ基水世和面主電ハ六語式平読省供呼"
        "利連海君味ザ回列例在確朝不先無問八戦参民運含ぐ存心ペ約ワ題情川除感七"
    ),
    12: (
        "処調組ォ空各ボズ義百域得九ガ楽交提限起共制ピ都考試仕解売死ぶ教県区準品強掲ぎ告重島ひ様元京親相査達議適算類始"
        "ざ配切額町常種田素資２送住野説管村校北追番位照風屋安館返録込際終状細権原験活備ユ料申良父毎件格検点身止白男買"
        "果形証向直づ―府済美昭害口ホ然再違予改着ノ土字任割ゲ登臣進図流容神過価接請命馬線属非総集職若応界病則効両伝放"
        "ギ母歩与支詳帰火西転質製整警天注歳渡単軍船勝態故夜役色万難造残移工…球委紙求税判助許択並由石換台降ぞ建１境団"
        "失協足術ヒ官半待古農早収英統働載量院反独"
    ),
    13: (
        "落氏ゴ音複消真太治乗営願局木科象護急ふ張従頭円研雨側広興３観遅ヴ航飲休育誰頃防異ヨ路居ゆ園御ぜ南財族去夏友州"
        "環王演究ヤ給離装険挙医阪補愛完ぬ鉄優党僕段旅午映ぼ託投領影既悪葉戸声便断視復費念我標争技評駅系夫被覧疑走商監"
        "審宮順帯案積顔衆林云士納修速振増策論覚負店光銀ぱ飛階港門退程競首笑満陸了星宅展想寝深響健戻囲紀花労票述米０勉"
        "災郎個苦削宣突週歌派般散席察昨識操推寺客株功障周承ヘ河称赤殺末届探敗洋息輸庁衛師減亡介器遠福井貨継芸廃隊援捕"
        "娘替比史譲貸酒宿為暑破熱兵導右岡震座遊望契血室犬習老担措因静魚源危"
    ),
    14: (
        "留富課背横普旧遺印写城打築拡守千裁率企秋傷武夕温賞未幸頼途康服余緒央似暗岸章索肉昔訪軽欲冷青布損辺療忘融養骨"
        "油松婚払附波模債飯勢橋専撃困節依庭茶雑眼級借簡互左春伴絵密欄押諸蔵皇固痛超雪児絶測江低具停惑況範吉責帝差喜催"
        "厚閣層谷焼根歴司端織答怖久植薬藤描版庫将ゼ編避短勤免兄寒候黒材寄像症辞陽扱善著岩延徴窓講販恐群姿倒昼壊滞預弟"
        "越齢泉湾底針徒沢採舶４逮草曲眠５添償漁慣略刻刊乳片嫌弾致益博腹泳督尾旨燃射鳥析清訴署景欠閉池皆曜角染犯掛菜疲"
        "禁懸辛夢驚ゥ杯鹿爆聴妻束到極概券佐敵締億樹討札逃乱刑併攻較伊訳触激圧談街否精捜冬罪崎弱勧丈占舞獲趣沖暮晩盟祖"
        "飼抜翌浮看混妹忙授床浜慢繰志季虫邪炭灯香易至晴邦毒績盛革拠傾煙郡殿仲胞努購就涼迎幹"
    ),
    15: (
        "筋弁ヌ包仮荷砂沿悲核鮮倍甲磁玉永津銭純縁森湯衝猫副枚倉折帳促姉貴句掌ぽ脱救吹縄絡携崩慮６板洗執筆逆還隣棄維釈"
        "尊臨均誤創跡撮湖豊厳韓劇泣耳敬ゅ微裏梅壁浦盤吸腕仏婦酸遣籍華捨診充敷堂抗濃迷怒勘雄飾丸頑秘賛暴妙黙如其練往招"
        "侵巻鳴岐歯搬牛奈雇ヶ抱紅勇ぁ幕宇奇憶卒快序忠誕典箱丁髪舎：抑里踏液泊闘房殊轄培栽奨騒奥此藻幅徳薄昇豆滅礼伸冊"
        "紹聖儀緊暇巡埋誌輪奪幼騎距坊皮謝募刺隠掃繁祭秒縦迫却誘駄摘甘郵或縮帽坂汚脈暖宝履括盗廻患己栄宗駆排即雲偽柄毛"
        "幣抽浅竹揚糸控遂矢希貧偵唯巨那掘漫怪涙偶閲羽剤魔簿艦卵批顧氷斜塩盆ゾ躍拒奴豪征抵靴頂衣袋随霊麻炉宙悩恵圏狭罰"
        "荒浴械畑陪渋冠嬉於箇陣揮７瀬肩腰胸机珍賀黄郷鼻幾仰童叫屈潜"
    ),
}
_COSTS = {character: float(bits) for bits, characters in _BITS.items() for character in characters}
_LATIN_LETTER = 12.0  # é next to an ASCII letter
_RUN = 6.0  # the first of a run of half-width katakana
_LONE = 6.0  # more for a run of one: half-width words have two characters at least
_HALF = deferred("[｡-ﾟ]+")
_ACCENTED = deferred(r"(?<=[A-Za-z])[À-ɏ]|[À-ɏ](?=[A-Za-z])")
_ODD_PAIR = deferred(
    r"(?<![ｳｶ-ﾄﾊ-ﾎ])ﾞ|(?<![ﾊ-ﾎ])ﾟ|(?<![ｱ-ﾟｧ-ｯ])ｰ|(?<![ｷｼﾁﾆﾋﾐﾘﾞﾟ])[ｬｭｮ]|(?<![ｳｸｼﾁﾂﾃﾄﾌﾞ])[ｧ-ｫ]|(?<![ｦ-ﾟ])[ｯﾝｦ]|ﾂｦ|ｯ[ｱ-ｵﾅ-ﾉﾏ-ﾝｰﾞﾟ]"
)
_MARKS = "｡｢｣､･ｦ"
_VERY_FREQUENT = "ﾞｰﾝ"
_FREQUENT = "ｱｲｸｽﾄﾗﾘﾙﾟﾀｯﾌｼｶｺﾃﾅﾏﾚﾛ"
_CONTROL = deferred("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f]")


def japanese_cost(text: str, /) -> float:
    """Return the cost of the text in bits as Japanese: lower is likelier; only comparable over the same bytes."""
    known = _COSTS
    total = sum(known[character] if character in known else _rare(character) for character in text)
    total -= sum(_rare(match[0]) - _LATIN_LETTER for match in _ACCENTED.finditer(text))
    for run in _HALF.finditer(text):
        total += _RUN + (_LONE if len(run[0]) == 1 else 0) + 11 * len(_ODD_PAIR.findall(run[0]))
    return total


def _rare(character: str) -> float:
    """Return the cost of a character by its class, and add it to the table."""
    cost = _class_cost(character)
    _COSTS[character] = cost
    return cost


def _class_cost(character: str) -> float:
    if character < "\x80":
        return 40.0 if _CONTROL.match(character) else 8.0
    if "｡" <= character <= "ﾟ":
        return (
            9.0
            if character in _MARKS
            else 3.5
            if character in _VERY_FREQUENT
            else 5.0
            if character in _FREQUENT
            else 6.5
        )
    if "\u3040" <= character <= "\u30ff":
        return 15.0
    if character == "\u3000":
        return 8.0
    if "\u4e00" <= character <= "\u9fff":
        return _kanji_cost(character)
    if "\ue000" <= character <= "\uf8ff" or _CONTROL.match(character):
        return 40.0
    return 17.0 if "\u2000" <= character <= "\u33ff" or "\uff00" <= character <= "\uffef" else 20.0


def _kanji_cost(character: str) -> float:
    """By JIS level: the first of the two EUC-JP bytes says it; beyond JIS X 0208 there are three or none."""
    try:
        coded = character.encode("euc_jp")
    except UnicodeEncodeError:
        return 23.0
    return 24.0 if len(coded) > 2 else 17.5 if coded[0] < 0xD0 else 22.0
