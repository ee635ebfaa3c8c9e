"""`jnlp train toxicity`, grades, and signs of self-harm."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from jnlp.cli.app import build_cli
from jnlp.errors import JnlpError
from jnlp.types import Example
from jnlp_toxicity import decision, grams, training
from jnlp_toxicity.lexicon import load
from jnlp_toxicity.logic import judge, make, split_matches
from jnlp_toxicity.spec import ToxicityOptions
from jnlp_toxicity.trainers import ToxicityTrainingOptions


def call(*arguments, ok=0):
    done = CliRunner().invoke(build_cli(), list(map(str, arguments)))
    assert done.exit_code == ok, (done.stdout, done.stderr, done.exception)
    return done


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Rows in which a brand's name is an insult, and rows without it."""
    path = tmp_path_factory.mktemp("rows") / "投稿.csv"
    lines = ["本文,判定"]
    for number in range(24):
        lines.append(f"お前は本当にぽんぽこ{number}号だな,有害")
        lines.append(f"今日は{number}時に駅前で会いましょう,無害")
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_a_model_is_fitted_used_and_reported(rows, tmp_path, monkeypatch):
    texts = training._clean()
    monkeypatch.setattr(training, "_clean", lambda: [*texts[:20], *texts[-20:]])
    out = tmp_path / "my-toxicity"
    done = call("train", "toxicity", rows, "--text", "本文", "--label", "判定", "-o", out, "--test-share", 0.25)
    assert "rows     train 36, valid 12, clean 20" in done.stdout
    assert "auc" in done.stdout
    assert "before" in done.stderr
    assert "after" in done.stderr
    assert "rough" in done.stderr
    report = json.loads((out / "training.json").read_text("utf-8"))["methods"]
    assert report["after"]["auc"] >= report["before"]["auc"]
    assert report["after"]["toxic_found"] == 1.0
    assert set(report["after"]) == {"auc", "toxic_found", "harmless_called_toxic", "clean_called_toxic"}
    used = call(
        "toxicity", "お前は本当にぽんぽこ99号だな", "明日は9時に会いましょう", "--model", out, "--format", "jsonl", "-q"
    )
    assert [json.loads(line)["toxic"] for line in used.stdout.splitlines()] == [True, False]
    again = call("train", "toxicity", rows, "--text", "本文", "--label", "判定", "-o", out, ok=1)
    assert "exists" in again.stderr
    (out / decision.TRAINED).write_text("{}", "utf-8")
    decision.load.cache_clear()
    assert "damaged" in call("toxicity", "あいうえお", "--model", out, ok=1).stderr


def test_labels_must_say_what_is_toxic():
    options = ToxicityTrainingOptions()
    with pytest.raises(JnlpError, match="悪口"):
        training._labelled([Example("一", "悪口")], options)
    named = ToxicityTrainingOptions(toxic=("悪口",))
    assert training._labelled([Example("一", "悪口"), Example("二", "普通")], named) == [("一", True), ("二", False)]
    assert training._labelled([Example("一", 1.0), Example("二", 0.0)], options) == [("一", True), ("二", False)]
    with pytest.raises(JnlpError, match="toxic and not toxic"):
        training._labelled([Example("一", "1"), Example("一", "0")], options)


def test_too_few_rows_are_refused():
    with pytest.raises(JnlpError, match="too few"):
        training._parts([("一", True), ("二", False)], [], ToxicityTrainingOptions(seed=1))
    many = [(f"文{n}", n % 2 == 0) for n in range(60)]
    fitted, held = training._parts(many, [], ToxicityTrainingOptions())
    assert (len(fitted), len(held)) == (48, 12)
    assert not set(fitted) & set(held)


def test_the_shipped_weights_are_read_as_they_are_written(tmp_path):
    path = tmp_path / grams.TRAINED
    shipped = grams.load()
    path.write_bytes(grams.dump(shipped))
    again = grams.load(tmp_path)
    assert again.weights.tolist() == shipped.weights.tolist()
    assert (again.bias, again.offset) == (shipped.bias, shipped.offset)
    path.write_bytes(b"x")
    grams.load.cache_clear()
    with pytest.raises(JnlpError, match="damaged"):
        grams.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "grade"), [("今日は晴れ", 0), ("ポンコツだ", 1), ("馬鹿だな", 2), ("死ね、クソ野郎", 3)]
)
def test_grades_count_the_levels_that_a_score_reaches(text, grade):
    (result,) = make(None, ToxicityOptions(rules_only=True, threshold=0.99))([text])
    assert result.grade == grade
    assert result.threshold == 0.99


@pytest.mark.parametrize(
    "text", ["もう死にたい", "消えてしまいたい", "生きるのがつらい", "もうシニタイ…", "死んだほうが楽かもしれない"]
)
def test_signs_of_self_harm_are_flagged_and_make_no_text_toxic(text):
    (result,) = make(None, ToxicityOptions(rules_only=True))([text])
    assert not result.toxic
    assert result.categories["self-harm"] >= 0.5
    assert [span.reason for span in result.spans] == ["self-harm"]
    (named,) = make(None, ToxicityOptions(rules_only=True, thresholds=("self-harm=0.5",)))([text])
    assert named.toxic


@pytest.mark.parametrize(
    "text",
    [
        "死ぬほど笑った",
        "この仕事から消えたいほど眠い",
        "汚れを消したい",
        "死にたいほど嬉しいことはない訳ではないが、死ぬ気で頑張る",
    ][:3],
)
def test_other_uses_are_no_signs(text):
    (result,) = make(None, ToxicityOptions(rules_only=True))([text])
    assert "self-harm" not in result.categories


@pytest.mark.parametrize(
    "text", ["住所を晒してやる", "一生つきまとってやる", "パンツ見せてよ", "学校にいられなくしてやる"]
)
def test_harassment(text):
    meant, _ = split_matches(text, load())
    result = judge(text, meant, None, ToxicityOptions())
    assert result.toxic
    assert "harassment" in result.categories


def test_the_table_has_id_and_threshold():
    done = call("toxicity", "消えろ、馬鹿", "今日は晴れ", "--rules-only", "--format", "table")
    head = done.stdout.splitlines()[0].split()
    assert head == ["id", "text", "toxic", "score", "threshold", "grade", "why"]
    assert "arg:1" in done.stdout
    assert "of these texts, with each reason: insult 1, violence 1" in done.stderr
