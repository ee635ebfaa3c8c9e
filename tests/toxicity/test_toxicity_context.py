"""How words are used: quotations, definitions, other senses and technical talk pass; threats and insults do not."""

from __future__ import annotations

import dataclasses
from importlib.resources import files

import pytest

from jnlp_toxicity.lexicon import load
from jnlp_toxicity.logic import make
from jnlp_toxicity.matcher import find
from jnlp_toxicity.screens import Words
from jnlp_toxicity.spec import ToxicityOptions

PASSED = """
学校で「死ね」と言われて、毎日つらいです。
「お前はバカだ」と上司に言われ、退職を考えています。
ネットで「消えろ」と書き込まれて傷ついた。
死ねと言われたことがある人はいますか。
「死ね」なんて言っちゃだめだよ。
人に向かって死ねなどと言うな。
同級生からブスと呼ばれていじめられました。
「殺すぞ」と脅迫した疑いで男が逮捕された。
容疑者は「殺してやる」と叫びながら店に入ったという。
彼は「馬鹿野郎」と怒鳴り、席を立った。
バカという言葉の語源には諸説ある。
「阿呆」は関西で使われる表現である。
「ガイジ」は障害者に対する蔑称である。
キチガイという表現は放送では使えない。
馬鹿とは、知能が劣ることを意味する語である。
プロセスを殺す
固まったプロセスを殺してから再起動する。
kill -9 でタスクを殺せばいい。
生姜で魚の臭みを殺す。
ゴキブリを殺してやる
酒のカス
酒のカスで漬物を作る。
排水口のカスを取り除く
塗装がハゲた
車の塗装がハゲてきたので塗り直す。
企画のキモ
この企画のキモは価格設定にある。
片輪走行
片輪が側溝に落ちた。
この池沼には
この池沼には多くの水鳥が訪れる。
米軍基地外に居住
米軍基地外に居住する軍人の数
雌豚の飼育頭数
雌豚の分娩間隔を調べる。
幼虫は変態して成虫になる。
三角形の底辺の長さを求めよ。
ピントを外して背景のボケを作る。
漫才のボケを担当している。
私って本当にバカだなあ。
自分のバカさ加減に呆れる。
馬鹿にうまいラーメン屋を見つけた。
バカみたいに安い
もう、バカ！心配したんだから。大好き
天才
神回
うp主乙
あ
江戸時代の乞食の暮らしを描いた落語
シミよ消えろ
雑魚敵を倒してレベルを上げる
ガキの頃の写真を見つけた
息を殺して待つ
昔は馬鹿なことをしたと笑い合った
ネットで死ねとか書く人は訴えられますよ
「バカ」と「アホ」の地域差を調べた論文
くたばれヤンキースというミュージカル
母に「バカね」と笑われた
頭が悪いのか寝不足なのか、今日は覚えられない
ガキ使を見た
頭おかしい値段で草
頭おかしい倍率のチケット当たった
この値段はさすがに頭おかしいw
今年の暑さ頭おかしいだろ
アホみたいな値段の時計を見てきた
死ぬほど笑った、こいつらほんとバカだわ
腹筋崩壊した、こいつらマジでアホすぎるwww
うちの猫、アホすぎて好き
こいつらのラジオ、バカすぎて毎週癒されてる
勃起不全の治療を受ける
"""

TOXIC = """
次に会ったら殺すからな
会社に火つけてやる
会社に火をつけてやるからな
お前の家に火をつけに行く
今度見かけたら刺すぞ
夜道に気をつけろよ
住所特定したから覚悟しとけ
駅で待ち伏せして刺してやる
家族がどうなっても知らないぞ
学校を爆破してやる
お前ら全員ぶっ殺してやるからな
ボコボコにしてやるから出てこい
ただで済むと思うなよ
いつか絶対殺す
明日学校で殴るからな
生きて帰れると思うな
車で轢いてやろうか
お前の娘を犯してやる
お前はバカか
お前は「バカ」だよ
死ねって言ってんだよ
早く死ねっつってんだろ
このゴミが
お前みたいなゴミは消えろ
お前マジでキモい
池沼かよ
あいつほんと基地外だな
黙れハゲ
デブは黙ってろ
頭おかしいんじゃねえのお前
二度と来るな、クズが
お前の存在が迷惑なんだよ
息すんなカス
お前いらない、消えてくれ
こいつ頭悪すぎだろ
お前ほんとに使えないな、辞めちまえ
ゴミみたいな奴だな
ちょんは国に帰れ
障害者は黙ってろ
うっざ
駅前で待ってるから覚悟しとけよ、ボコる
お前んち燃やすぞ
「死ね」だよお前なんか
お前のことバカだって言ってるんだよ
頭おかしい奴しかいないな、この板
値段に文句言うやつ頭おかしい
頭おかしい値段つけてるこの店主クズ
好き勝手言ってるバカが多すぎ
こいつら全員アホ、爆笑
このスレ、バカしかいなくて最高に笑える
笑い死ぬわ、お前ほんとバカ
カスやわ、お前ただのアニメ好きや
"""


@pytest.fixture(scope="module")
def apply():
    return make(None, ToxicityOptions(rules_only=True))


@pytest.mark.parametrize("text", PASSED.strip().splitlines())
def test_what_is_not_meant_passes(text, apply):
    (result,) = apply([text])
    assert not result.toxic, result


@pytest.mark.parametrize("text", TOXIC.strip().splitlines())
def test_what_is_meant_does_not(text, apply):
    (result,) = apply([text])
    assert result.toxic, result


def test_every_allowed_expression_is_needed():
    lexicon = load()
    bare = dataclasses.replace(lexicon, allowed=Words())
    allowed = files("jnlp_toxicity").joinpath("words.txt").read_text("utf-8").split("\n[allow]\n")[1].split()
    assert [expression for expression in allowed if not find(expression, bare)] == []
