"""The built-in family: cards, page and scores agree, other libraries load it, a new one goes in whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from jnlp.encoder.files import digest_weights
from jnlp.errors import JnlpError
from jnlp.models.folder import inspect, read_folder
from jnlp.models.resolve import BUILTIN
from jnlp.models.specs import BUILTIN_SPECS
from jnlp.training.embedder.pairs import Pair, key_of
from jnlp.training.stopping import Stopped
from jnlp.types import TrainReport
from jnlp_family import cards, tables
from jnlp_family import make as family
from jnlp_family.masked_lm.__main__ import scores_before
from jnlp_family.pretraining import training
from jnlp_family.similarity import Split, similarity_pairs
from jnlp_pretrain.recipe_files import load_recipe
from jnlp_pretrain.tokenizer_train import MASK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from click.testing import CliRunner

SHIPPED = cards.present(BUILTIN)


def make_models(folder: Path, mark: str) -> Path:
    """Make folders that look like a whole family: real small files, and weights that say which family they are."""
    for name in family.FAMILY:
        made = folder / name
        shutil.copytree(BUILTIN / "tiny-toxicity", made)  # the smallest: four of the others are too large together
        (made / "README.md").write_text(f"# {name} {mark}\n", encoding="utf-8")
        (made / "scores.json").write_text(json.dumps({"weights": digest_weights(made)}), encoding="utf-8")
    return folder


def readme(folder: Path, name: str) -> str:
    return (folder / name / "README.md").read_text(encoding="utf-8")


def test_every_model_that_ships_has_scores() -> None:
    assert [name for name in family.FAMILY if (BUILTIN / name).is_dir()] == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_scores_are_those_of_the_weights(name: str) -> None:
    assert cards.read(BUILTIN / name / "scores.json")["weights"] == digest_weights(BUILTIN / name)


def test_a_search_weighs_the_vectors_as_the_scores_do() -> None:
    from jnlp_search.query.scores import WEIGHTS

    found = read_folder(BUILTIN / "tiny-search").spec.search
    assert found is not None
    assert found.dense_weight == cards.read(BUILTIN / "tiny-search/scores.json")["dense_weight"]
    assert len(found.hybrid) == len(found.dense) == WEIGHTS


@pytest.mark.parametrize("name", SHIPPED)
def test_card_and_page_say_what_the_scores_say(root: Path, name: str) -> None:
    found = cards.read(BUILTIN / name / "scores.json")
    card, page = readme(BUILTIN, name), (root / "docs/quality.md").read_text(encoding="utf-8")
    assert card == cards.card(name, BUILTIN / name) or name == "tiny-toxicity"
    for line in tables.scores(found).splitlines():
        if line.startswith("| ") and "---" not in line:
            assert line in card
        assert line in page
    for sentence in tables.weak(found):
        assert sentence in page


@pytest.mark.parametrize("name", SHIPPED)
def test_the_card_has_the_licence_of_the_registry(name: str) -> None:
    (licence,) = (spec.licence for spec in BUILTIN_SPECS if spec.builtin == name)
    assert f"\nlicense: {licence.lower()}\n" in readme(BUILTIN, name)


def test_the_page_is_fresh(root: Path) -> None:
    assert (root / "docs/quality.md").read_text(encoding="utf-8") == cards.page(BUILTIN)


def test_the_page_of_benchmarks_has_the_tables_that_decide(root: Path) -> None:
    page = (root / "docs/benchmarks.md").read_text(encoding="utf-8")
    assert page == cards.with_headlines(page, BUILTIN)
    assert "| 5-gram |" in page
    assert "| fused |" in page
    assert cards.with_headlines("no marks", BUILTIN) == "no marks"


@pytest.mark.parametrize("name", SHIPPED)
def test_models_show_prints_the_scores(runner: CliRunner, name: str) -> None:
    from jnlp.cli import build_cli
    from jnlp.plugins import installed, load_plugins

    plugins = load_plugins([candidate for candidate in installed() if candidate.distribution == "jnlp"])
    done = runner.invoke(build_cli(plugins), ["models", "show", name], obj=plugins)
    assert done.exit_code == 0, done.output
    rows = [line for line in tables.scores(cards.read(BUILTIN / name / "scores.json")).splitlines() if "%" in line]
    assert rows
    assert not [row for row in rows if row.startswith("| ") and row not in done.output]


def test_together_they_are_small() -> None:
    size = sum(path.stat().st_size for path in BUILTIN.rglob("*") if path.is_file())
    assert 0 < size < family.LARGEST


def test_transformers_and_sentence_transformers_load_them_as_they_stand() -> None:
    import numpy as np
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer

    from jnlp.encoder.load import load_classifier, load_embedder, load_masked_lm
    from jnlp.encoder.runtime import Runtime
    from jnlp.encoder.vectors import unit

    runtime = Runtime(device="cpu", dtype="fp32")
    texts = ["東京は雨です。", "おはようございます、今日の天気は<mask>です。"]
    for name in SHIPPED:
        folder = BUILTIN / name
        if (folder / "modules.json").is_file():
            theirs = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": "float32"}).encode(texts)
            ours = load_embedder(folder, runtime=runtime).embed(texts).vectors
            assert np.abs(unit(ours) - theirs).max() < 1e-5
            continue
        if read_folder(folder).is_linear:  # jnlp's own
            continue
        kind = AutoModelForSequenceClassification if name == "tiny-toxicity" else AutoModelForMaskedLM
        batch = AutoTokenizer.from_pretrained(folder)(texts[1], return_tensors="pt")
        with torch.no_grad():
            logits = kind.from_pretrained(folder, dtype=torch.float32)(**batch).logits[0]
        if name == "tiny-toxicity":
            classifier = load_classifier(folder, inspect(folder), runtime=runtime)
            assert np.abs(classifier.logits(texts[1:]).values[0] - logits.numpy() / classifier.temperature).max() < 1e-4
            continue
        at = batch["input_ids"][0].tolist().index(MASK)
        ours = load_masked_lm(folder, runtime=runtime).at_masks([batch["input_ids"][0].numpy()], [np.array([at])])[0]
        assert np.abs(ours - logits[at].numpy()).max() < 1e-3


def test_a_weak_figure_is_called_weak() -> None:
    found = cards.read(BUILTIN / "tiny/scores.json")
    good = {"items": 60, "top1": 0.9, "top5": 1.0}
    found["cloze"] = {"model": {"all": good, "fact": good | {"top1": 0.08, "top5": 0.25, "items": 12}}}
    found["needle"] = {"128": {"top5": 0.9}, "512": {"top5": 0.04}, "8192": {"top5": 0.0}}
    found["jsts"] = found["jsts"] | {"spearman": 0.9}
    found["weather"] = ["本当", "晴れ"]
    for row in found["held_out"].values():
        row["ngram_perplexity"] = 1000.0
    assert tables.weak(found) == [
        "Cloze, fact: a right word among five for only 25% of 12 items.",
        "Cloze, fact: the first guess is right for only 8% of 12 items.",
        "Needle test with 512 tokens: the word is only 4% of the time among the first five guesses.",
        "Needle test with 8,192 tokens: the word is never among the first five guesses.",
    ]
    last = tables.weak(found | {"weather": ["本当", "残念"]})[-1]
    assert last == "No weather word is among its first five guesses for the sentence above: 本当 残念."
    found["baselines"] = {"characters": 40_000_000}
    for theirs, weak in (
        ({"top1": 0.95}, True),
        ({"top1": 0.5, "top5": 1.0}, True),
        ({"top1": 0.5, "top5": 0.9}, False),
    ):
        found["cloze"]["ngram"] = {"all": good | theirs}
        said = "\n".join(tables.weak(found))
        assert ("A character 5-gram of 40 million characters fills the cloze items" in said) is weak


def test_scores_of_earlier_stages_are_kept_where_they_are_of_the_same_text(tmp_path: Path) -> None:
    earlier = {"stage-1": {"held_out": {"dialogue": {"characters": 15_401, "accuracy": 0.4}}}}
    (tmp_path / "scores.json").write_text(json.dumps({"stages": earlier}), encoding="utf-8")
    given = [("stage-2", tmp_path)]
    assert scores_before(given, {"dialogue": {"characters": 15_401, "accuracy": 0.5}}) == earlier
    assert scores_before(given, {"dialogue": {"characters": 2_000, "accuracy": 0.5}}) == {}
    assert scores_before(given, {**earlier["stage-1"]["held_out"], "law": {"characters": 9}}) == {}
    assert scores_before([], {}) == scores_before([("stage-2", tmp_path / "none")], {}) == {}


def test_an_embedder_that_does_not_help_is_called_so() -> None:
    row = {"recall@1": 0.2, "recall@10": 0.5, "ndcg@10": 0.3, "mrr@10": 0.3}
    words = dict.fromkeys(row, 0.95)
    part = {
        "passages": 10,
        "questions": 20,
        "systems": {"BM25 (words)": words, "model": row, "model, first 64": row, "base": row, "fused": words},
        "fused_against": {"BM25 (words)": {"difference": 0.001, "low": -0.002, "high": 0.004, "p": 0.4}},
        "jsts_pairs": 5,
        "jsts_spearman": {"model": 0.75, "base": 0.6},
    }
    found = {"model": "embedder", "dense_weight": 0.1, "development": part, "command": "c", "date": "d"}
    assert tables.weak(found) == [
        "By vectors alone the passage is among the first ten for only 50.0% of the questions.",
        "Full text alone finds more (95.0%): use them together.",
        "Its gain over BM25 (words) is not significant: nDCG@10 +0.0010, p 0.4000.",
    ]
    shown = tables.scores(found)
    assert "| tiny-search | 0.200 | 0.500 | 0.300 | 0.300 |" in shown
    assert "| tiny-search, first 64 dimensions | 0.200 | 0.500 | 0.300 | 0.300 |" in shown
    assert "development articles" in shown
    assert "JaQuAD valid" not in shown
    assert "JaQuAD valid: 20 questions" in tables.scores(found | {"final": part})


def test_data_that_is_absent_is_refused_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JNLP_RUNS", str(tmp_path / "runs"))
    (tmp_path / "corpus").mkdir()
    assert family.main(["make", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "tasks/jaquad/train.jsonl.xz missing" in said
    assert "corpus," not in said
    assert "make models DATA=DIR" in said
    assert not (tmp_path / "runs").exists()


def test_a_smoke_run_does_not_replace_what_ships(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert family.main(["make", str(tmp_path), "--smoke"]) == 1
    assert "name --out" in capsys.readouterr().err


def test_stopped_midway_it_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, status in ((Stopped(signal.SIGTERM), 143), (Stopped(signal.SIGINT), 130), (KeyboardInterrupt(), 130)):

        def stopping(*_: object, error: BaseException = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(family, "prepare", stopping)
        assert family.main(["make", str(tmp_path)]) == status
        assert capsys.readouterr().err == "stopped: run the same command to continue\n"


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> family.Family:
    """Return the settings of a run whose steps are lines of `work/run`."""
    made = family.Family(tmp_path / "data", tmp_path / "work", load_recipe("tiny"), "tiny")
    made.work.mkdir()

    def record(command: Sequence[str]) -> None:
        with (made.work / "run").open("a", encoding="utf-8") as steps:
            steps.write(" ".join(command).replace(str(tmp_path), "") + "\n")

    monkeypatch.setattr(family, "_run", record)
    monkeypatch.setattr(family, "pretrain_by_recipe", lambda *_: None)
    monkeypatch.setattr(family, "_toxicity_scores", lambda *_: None)
    monkeypatch.setattr(family.commands, "run_of", lambda _: made.work)
    monkeypatch.setattr(family, "write_cards", lambda *_: None)
    monkeypatch.setattr(family, "check", lambda _: 0)
    return made


def steps_of(trial: family.Family) -> list[str]:
    return (trial.work / "run").read_text(encoding="utf-8").splitlines()


def test_the_decision_is_fitted_to_the_new_models_and_scores_out_of_fold(trial: family.Family) -> None:
    family.make(trial, say=lambda _: None)
    names = [line.split()[0].removeprefix("jnlp_family.") for line in steps_of(trial)]
    assert names[:4] == ["toxicity.train", "search.train", "classification.sentiment", "toxicity.decision"]
    assert steps_of(trial)[0].endswith("--out-of-fold /work/toxicity-out-of-fold.json")
    assert steps_of(trial)[3] == (
        "jnlp_family.toxicity.decision /data --out /work/toxicity-decision --model /work/tiny-toxicity"
        " --embedder /work/tiny-search --out-of-fold /work/toxicity-out-of-fold.json"
    )
    assert (trial.work / "toxicity-decision").is_dir()
    few = family.commands.decision_command(replace(trial, smoke=True))
    assert few[-2:] == family.commands.toxicity_command(replace(trial, smoke=True))[-4:-2] == ["--most", "8"]


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ("jnlp_family.toxicity.decision", ["toxicity.decision"]),
        ("jnlp_toxicity.fitting", ["toxicity.decision"]),
        ("jnlp_toxicity/words.txt", ["toxicity.train", "toxicity.decision"]),
        ("jnlp_family.toxicity.model", ["toxicity.train", "toxicity.decision"]),
        ("jnlp_family.search.train", ["search.train", "toxicity.decision"]),
        ("nothing", []),
    ],
)
def test_the_decision_is_fitted_again_when_what_made_it_changes(
    trial: family.Family, changed: str, again: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    family.make(trial, say=lambda _: None)
    before = len(steps_of(trial))
    digest = family._digest
    monkeypatch.setattr(family, "_digest", lambda *names: digest(*names) + "*" * (changed in names))
    family.make(trial, say=lambda _: None)
    made = [line.split()[0].removeprefix("jnlp_family.") for line in steps_of(trial)[before:]]
    trained = ("toxicity.train", "search.train", "classification.sentiment", "toxicity.decision")
    assert [name for name in made if name in trained] == again


def test_a_new_decision_and_its_ngrams_are_installed_together(tmp_path: Path) -> None:
    made, out = tmp_path / "made", tmp_path / "out"
    for folder, mark in ((made, "new"), (out, "old")):
        folder.mkdir()
        for name in ("decision.json", "grams.safetensors"):
            (folder / name).write_text(mark, encoding="utf-8")
    family.install_decision(made, out)
    assert {path.name: path.read_text(encoding="utf-8") for path in out.iterdir()} == {
        "decision.json": "new",
        "grams.safetensors": "new",
    }
    (made / "grams.safetensors").unlink()
    (made / "decision.json").write_text("half", encoding="utf-8")
    with pytest.raises(FileNotFoundError):
        family.install_decision(made, out)
    assert (out / "decision.json").read_text(encoding="utf-8") == "new"
    assert len(list(out.iterdir())) == 2


@pytest.mark.parametrize(("after", "taken"), [(2.46, True), (2.475, True), (2.48, False), (2.6, False)])
def test_a_model_that_is_not_better_by_a_margin_stays_outside(tmp_path: Path, after: float, *, taken: bool) -> None:
    rows = [{"held_out_loss": 2.5}, {"loss": 3.0}, {"held_out_loss": 2.9}, {"held_out_loss": after}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    if taken:
        assert family.better(tmp_path) == f"held-out loss 2.500 before, {after:.3f} now"
        return
    with pytest.raises(JnlpError, match="not 1% better"):
        family.better(tmp_path)


def test_models_that_are_worse_than_those_that_ship_are_named(tmp_path: Path) -> None:
    def write(folder: Path, f1: float, ndcg: float) -> Path:
        for name in ("tiny-toxicity", "tiny-search"):
            (folder / name).mkdir(parents=True)
        (folder / "tiny-toxicity/metrics.json").write_text(json.dumps({"valid_scores": {"macro_f1": f1}}))
        scores = {"development": {"systems": {"model": {"ndcg@10": ndcg}}}}
        (folder / "tiny-search/scores.json").write_text(json.dumps(scores))
        return folder

    bundled_recipes = write(tmp_path / "shipped", 0.94, 0.65)
    assert family.worse(write(tmp_path / "like", 0.935, 0.70), bundled_recipes) == []
    assert family.worse(write(tmp_path / "worse", 0.92, 0.64), bundled_recipes) == [
        "tiny-toxicity: macro_f1 0.940 before, 0.920 now",
        "tiny-search: ndcg@10 0.650 before, 0.640 now",
    ]
    assert family.worse(tmp_path / "like", tmp_path / "nothing") == []


def test_a_trainer_that_runs_is_ended_with_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow.py").write_text("import time\nopen('begun', 'w').close()\ntime.sleep(60)\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def asked(*_: object, **__: object) -> None:
        family._run(["slow"])

    def terminate() -> None:
        while not (tmp_path / "begun").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(family, "_make", asked)
    began = time.monotonic()
    threading.Thread(target=terminate).start()
    assert family.main(["make", str(tmp_path)]) == 143
    assert time.monotonic() - began < 30


def test_a_whole_family_takes_the_place_of_another(tmp_path: Path) -> None:
    old, new = make_models(tmp_path / "old", "old"), make_models(tmp_path / "new", "new")
    family.swap(new, old)
    assert [readme(old, name) for name in family.FAMILY] == [f"# {name} new\n" for name in family.FAMILY]
    assert sorted(path.name for path in old.iterdir()) == sorted(family.FAMILY)


def test_a_swap_that_fails_midway_puts_the_old_family_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path as Real

    old, new = make_models(tmp_path / "old", "old"), make_models(tmp_path / "new", "new")
    rename = Real.rename

    def failing(self: Path, target: Path) -> Path:
        if self.parent.name == ".new" and self.name == "tiny-toxicity":
            raise OSError("no space left on device")
        return rename(self, target)

    monkeypatch.setattr(Real, "rename", failing)
    with pytest.raises(OSError, match="no space"):
        family.swap(new, old)
    assert [readme(old, name) for name in family.FAMILY] == [f"# {name} old\n" for name in family.FAMILY]
    assert sorted(path.name for path in old.iterdir()) == sorted(family.FAMILY)


@pytest.mark.parametrize("lost", ["scores.json", "README.md", "model.safetensors"])
def test_a_family_that_is_not_whole_goes_nowhere(tmp_path: Path, lost: str) -> None:
    old, new = make_models(tmp_path / "old", "old"), make_models(tmp_path / "new", "new")
    (new / "tiny-search" / lost).unlink()
    with pytest.raises(JnlpError, match=lost):
        family.swap(new, old)
    assert readme(old, "tiny") == "# tiny old\n"


def test_scores_of_other_weights_are_refused(tmp_path: Path) -> None:
    new = make_models(tmp_path / "new", "new")
    (new / "tiny/scores.json").write_text('{"weights": "0"}', encoding="utf-8")
    with pytest.raises(JnlpError, match="other weights"):
        family.check(new)


def test_a_stage_that_the_recipe_does_not_have_is_refused(
    shared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JNLP_RUNS", str(tmp_path / "runs"))
    with pytest.raises(JnlpError, match="no stage after 9"):
        family.prepare(shared, after=9)


def test_going_on_from_the_shipped_model_leaves_its_stages_out(
    shared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JNLP_RUNS", str(tmp_path / "runs"))
    whole, rest = family.prepare(shared), family.prepare(shared, after=1)
    assert rest.recipe.stages == whole.recipe.stages[1:]
    assert rest.work != whole.work
    assert rest.start is not None
    assert digest_weights(rest.start) == digest_weights(BUILTIN / "tiny")


def test_what_a_model_went_on_from_stays_in_its_record() -> None:
    recipe = load_recipe("tiny")
    report = TrainReport(
        folder=BUILTIN,
        metrics={"tokens": 2_000_000.0, "steps": 10.0, "seconds": 3600.0},
        rows={"tanaka": 3, "laws": 0},
        details={"torch": "2", "source_tokens": {"tanaka": 1_500_000, "laws": 0}},
    )
    before = {"text": "First this.", "figures": {"tokens": 1_000_000, "steps": 5, "hours": 0.5}}
    made = training(recipe, report, before)
    assert made["text"].startswith("First this. Then, from these weights, `make models`, recipe `tiny`: ")
    assert {key: made["figures"][key] for key in before["figures"]} == {"tokens": 3_000_000, "steps": 15, "hours": 1.5}
    assert made["data"] == {"tanaka": "3 documents, 1.5M tokens"}


@pytest.mark.slow
@pytest.mark.parametrize(("by", "steps"), [([], 9), (["--minutes", "0.3"], 10)], ids=["steps", "minutes"])
def test_the_family_is_made_end_to_end_at_a_small_scale(
    shared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    by: list[str],
    steps: int,
) -> None:
    monkeypatch.setenv("JNLP_RUNS", str(tmp_path / "runs"))
    asked = ["make", str(shared), "--smoke", "--out", str(tmp_path / "out"), "--quality", str(tmp_path / "quality.md")]
    asked += by
    assert family.main(asked) == 0, capsys.readouterr().err
    family.check(tmp_path / "out")
    assert not [name for name in family.FAMILY if "Not recorded." in readme(tmp_path / "out", name)]
    page = (tmp_path / "quality.md").read_text(encoding="utf-8")
    headings = [f"## `{name}`" for name in (*family.FAMILY, "jnlp train classifier", "jnlp toxicity", "jnlp search")]
    assert [line for line in page.splitlines() if line.startswith("## ")] == headings
    capsys.readouterr()
    assert family.main(asked) == 0
    assert capsys.readouterr().err.count("done before") == steps


def test_no_pair_that_is_scored_by_its_likeness_trains_the_embedder(shared: Path) -> None:
    from jnlp_family.search.train import sets

    made = sets(shared)
    (nli,) = [one for one in made.pairs if one.name == "nli"]
    scored = [similarity_pairs(shared, split) for split in (Split.DEVELOPMENT, Split.FINAL)]
    known = {key_of(Pair(a, b)) for pairs in scored for a, b in zip(pairs.first, pairs.second, strict=True)}
    used = {key_of(pair) for pair in nli.pairs} | {key_of(Pair(p.query, n)) for p in nli.pairs for n in p.negatives}
    assert len(nli.pairs) > 7_000
    assert not used & known


def test_every_source_chooses_the_epoch_of_the_toxicity_model(shared: Path) -> None:
    from jnlp_family.toxicity.model import sets_of
    from jnlp_family.toxicity.rows import TRAIN, VALID, all_rows, chosen_rows

    rows = chosen_rows(all_rows(shared, 60), 20)
    made = sets_of(rows)
    for part, examples in ((TRAIN, made.train), (VALID, made.valid)):
        assert [row.text for row in rows if row.part == part] == [example.text for example in examples]
        assert len({row.source for row in rows if row.part == part}) == 17
    assert len(sets_of(rows, [n for n, row in enumerate(rows) if row.part == TRAIN][::2]).train) == len(made.train) // 2
    assert not made.test


def test_a_smaller_form_of_a_model_has_the_states_of_its_first_layers(tmp_path: Path) -> None:
    from jnlp.encoder.load import load_masked_lm
    from jnlp.models.resolve import BUILTIN
    from jnlp_family.reduced import reduce_model

    texts = ["今日は良い天気です。", "契約の解除には三十日前の通知が必要です。"]
    whole, few = tmp_path / "whole", tmp_path / "few"
    reduce_model(BUILTIN / "tiny", whole, layers=99, pieces=6_000, texts=texts)
    reduce_model(BUILTIN / "tiny", few, layers=2, pieces=6_000, texts=texts)
    base, same, small = (load_masked_lm(folder) for folder in (BUILTIN / "tiny", whole, few))
    for text in texts:
        ids = [model.tokenizer.encode([text])[0].ids for model in (base, same)]
        assert len(ids[0]) == len(ids[1]), "the pieces of these texts are kept"
        at = np.array([3])
        old, new = (model.at_masks([i], [at])[0] for model, i in zip((base, same), ids, strict=True))
        kept = [base.tokenizer.pieces(piece)[0] for piece in ("天気", "契約")]
        mine = [same.tokenizer.pieces(piece)[0] for piece in ("天気", "契約")]
        np.testing.assert_allclose(new[mine], old[kept], rtol=0.05, atol=0.05)
    assert small.tokenizer.pieces(texts[0]) == same.tokenizer.pieces(texts[0])
    config = json.loads((few / "config.json").read_text(encoding="utf-8"))
    assert (config["num_hidden_layers"], len(config["layer_types"])) == (2, 2)
    assert config["vocab_size"] <= 6_000
