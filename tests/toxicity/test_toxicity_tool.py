"""`jnlp toxicity` as a tool: levels, masking, thresholds by category, lists of one's own, statistics, review."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from click.testing import CliRunner

from jnlp.cli.app import build_cli
from jnlp.errors import UsageError
from jnlp_toxicity import decision, grams
from jnlp_toxicity.lexicon import load
from jnlp_toxicity.logic import category_thresholds, decide, make, split_matches
from jnlp_toxicity.masking import mask_spans
from jnlp_toxicity.spec import Level, MaskedToxicity, Span, ToxicityOptions


def call(*arguments, ok=0):
    done = CliRunner().invoke(build_cli(), ["toxicity", *map(str, arguments)])
    assert done.exit_code == ok, done.stderr
    return done


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def decided(text, options=None, model=0.3):
    """The verdict of the decision that ships, the model being undecided."""
    meant, passed = split_matches(text, load())
    return decide(text, meant, passed, (model, Span(0, len(text), "model")), options or ToxicityOptions())


def test_mask_writes_the_text_with_its_words_masked(tmp_path):
    path = tmp_path / "投稿.jsonl"
    path.write_text('{"text": "お前は馬🙂鹿か"}\n{"text": "今日は晴れ"}\n', "utf-8")
    rows = lines(call(path, "--mask", "--rules-only", "--format", "jsonl"))
    assert [row["masked"] for row in rows] == ["お前は＊＊＊か", "今日は晴れ"]
    assert rows[0]["text"] == "お前は馬🙂鹿か"
    (whole,) = lines(call("消えろ、馬鹿", "--mask", "--mask-with", "[削除]", "--rules-only", "--format", "jsonl"))
    assert whole["masked"] == "[削除]、[削除]"
    (plain,) = lines(call("消えろ、馬鹿", "--rules-only", "--format", "jsonl"))
    assert "masked" not in plain


def test_a_table_of_masked_texts_does_not_print_the_words_either():
    done = call("お前は馬鹿か", "--mask", "--rules-only", "--format", "table")
    assert "お前は＊＊か" in done.stdout
    assert "masked" in done.stdout.splitlines()[0] + done.stdout.splitlines()[1]
    assert "馬鹿" not in done.stdout


def test_spans_that_overlap_are_masked_once():
    assert mask_spans("abcdef", [(3, 5), (1, 4)], "*") == "a****f"
    assert mask_spans("ab cd", [(0, 5)], "*") == "** **"
    assert mask_spans("abc", [], "*") == "abc"


@pytest.mark.parametrize("flags", [("--drop", "--mask"), ("--flag", "--drop"), ("--mask", "--mask-with", "")])
def test_actions_exclude_each_other(flags):
    call("消えろ", "--rules-only", *flags, ok=2)


def test_kept_and_rejected_records_go_apart(tmp_path):
    kept, rejected = tmp_path / "kept.jsonl", tmp_path / "rejected.jsonl"
    call("消えろ、馬鹿", "今日は晴れ", "--rules-only", "--drop", "-o", kept, "--rejects", rejected)
    assert [json.loads(line)["text"] for line in kept.read_text("utf-8").splitlines()] == ["今日は晴れ"]
    (bad,) = [json.loads(line) for line in rejected.read_text("utf-8").splitlines()]
    assert "toxic" in bad["error"]


def test_the_end_says_how_much_was_toxic_and_what_is_doubtful():
    done = call("消えろ、馬鹿", "今日は晴れ", "馬鹿だな", "--rules-only", "--review", 2)
    said = [line for line in done.stderr.splitlines() if line.startswith("jnlp: ")]
    assert "2 of 3 toxic (66.7%)" in said[0]
    assert "insult 2" in said[0]
    assert [line.split()[1] for line in said[2:4]] == ["arg:3", "arg:1"]
    assert "toxic" not in call("消えろ", "--rules-only").stderr


def test_thresholds_by_category():
    text = "消えろ、馬鹿"
    options = ToxicityOptions(rules_only=True, thresholds=("insult=off",))
    (result,) = make(None, options)([text])
    assert set(result.categories) == {"violence"}
    (mild,) = make(None, ToxicityOptions(rules_only=True, thresholds=("insult=0.6", "violence=0.6")))([text])
    assert not mild.toxic
    for wrong in ("うそ=0.5", "insult=多"):
        with pytest.raises(UsageError):
            category_thresholds(ToxicityOptions(thresholds=(wrong,)), load())
    call(text, "--rules-only", "--thresholds", "insult=x", ok=2)


def test_words_and_allow_are_read_from_files(tmp_path):
    words, allow = tmp_path / "禁句.txt", tmp_path / "許可.txt"
    words.write_text("炎上商法\n\n[spam 1]\n副業\n[spam 3 pattern]\n\\d+万円稼げる\n[allow]\n副業禁止\n", "utf-8")
    allow.write_text("# 店の名\n馬鹿の家\n", "utf-8")
    flags = ("--words", words, "--allow", allow, "--rules-only", "--format", "jsonl", "-q")
    texts = ("炎上商法だ", "副業の話", "副業で30万円稼げる", "副業禁止の会社", "馬鹿の家で食べた")
    found = [row["categories"] for row in lines(call(*texts, *flags))]
    assert [set(categories) for categories in found] == [{"custom"}, {"spam"}, {"spam"}, set(), set()]


def test_levels_of_the_lists():
    text = "ポンコツだ"  # a mild word
    for level, toxic in ((Level.STRICT, True), (Level.NORMAL, False), (Level.LENIENT, False)):
        (result,) = make(None, ToxicityOptions(rules_only=True, level=level))([text])
        assert result.toxic is toxic


def test_levels_of_the_decision_are_ordered_around_one_half():
    levels = decision.load().levels
    assert levels["strict"] < levels["normal"] == 0.5 < levels["lenient"]
    score = decided("馬鹿").score
    assert decided("馬鹿", ToxicityOptions(threshold=score)).toxic
    assert not decided("馬鹿", ToxicityOptions(threshold=min(1.0, score + 1e-6))).toxic


@pytest.mark.parametrize("text", ["天才", "神回", "うp主乙", "あ", "草", "ありがとう", "やけくそだ", "馬鹿正直な人だ"])
def test_a_clean_word_alone_is_clean(text):
    assert not decided(text, model=0.6).toxic


@pytest.mark.parametrize(
    "text", ["死ね", "バ力じゃないの", "shine", "会社に火つけてやる", "次に会ったら殺すからな", "ガイジ"]
)
def test_words_convict_though_the_model_does_not(text):
    result = decided(text, model=0.1)
    assert result.toxic, result
    assert {span.reason for span in result.spans} & set(load().categories)


def test_a_users_category_convicts_by_itself(tmp_path):
    path = tmp_path / "ng.txt"
    path.write_text("[spam 3]\n副業\n", "utf-8")
    lexicon = load([str(path)])
    meant, passed = split_matches("副業の話", lexicon)
    result = decide("副業の話", meant, passed, (0.01, Span(0, 4, "model")), ToxicityOptions())
    assert result.toxic
    assert result.categories["spam"] == pytest.approx(0.9)


def test_the_part_that_carries_a_verdict_without_words_is_its_span():
    clean = "今日は駅前の店で昼ご飯を食べました。とてもおいしかったので、また家族と一緒に行きたいと思います。"
    text = f"{clean}お前みたいな奴は人として終わってるし誰からも必要とされてないよ。{clean}"
    result = decided(text, ToxicityOptions(threshold=0.0, mask=True), model=0.9)
    assert isinstance(result, MaskedToxicity)
    (span,) = [span for span in result.spans if span.reason == "n-grams"] or [Span(0, 0, "")]
    assert span.end - span.start < len(text)


def test_pieces_cover_the_text_in_order():
    text = "一つ目の文です。" * 30 + "あ" * 1000
    parts = grams.pieces(text)
    assert all(0 <= start < end <= len(text) and end - start <= 400 for start, end in parts)
    assert all(before[1] <= after[0] for before, after in pairwise(parts))
    assert sum(end - start for start, end in parts) >= len(text.rstrip())


def test_the_ngrams_are_small_and_sane():
    model = grams.load()
    assert model.weights.shape == model.idf.shape == (grams.BUCKETS,)
    assert model.score("お前みたいなガイジは消えろ") > 0 > model.score("今日は良い天気ですね。")
    assert grams.buckets("") is not None
    assert grams.buckets("ばか").tolist() == grams.buckets("ﾊﾞｶ").tolist()
