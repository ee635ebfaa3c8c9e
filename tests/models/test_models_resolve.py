"""From a name, a folder or a hub id to a folder and a spec."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from jnlp.encoder.config import ModernBertConfig
from jnlp.errors import JnlpError, UsageError
from jnlp.models import resolve as resolving
from jnlp.models.catalog import State, card, list_models, path, pull
from jnlp.models.download import UnreachableError
from jnlp.models.resolve import resolve
from jnlp.models.specs import BUILTIN_SPECS
from jnlp.testing import make_model
from jnlp.types import Head, ModelSpec, Pooling, ProblemType, Purpose

SPECS = {spec.name: spec for spec in BUILTIN_SPECS}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NEWER = "f" * 40


def refuse(repo, revision, progress):
    raise AssertionError(f"{repo} was to be fetched")


def unreachable(repo, revision, progress):
    raise UnreachableError(f"the hub cannot be reached for {repo}")


@pytest.mark.parametrize(
    ("name", "vocabulary", "layers", "width", "positions", "types"),
    [
        ("multilingual-e5-small", 250_037, 12, 384, 512, 2),
        ("multilingual-e5-base", 250_002, 12, 768, 514, 1),
        ("multilingual-e5-large", 250_002, 24, 1024, 514, 1),
        ("bge-m3", 250_002, 24, 1024, 8194, 1),
    ],
)
def test_parameters_are_those_of_the_published_shape(name, vocabulary, layers, width, positions, types):
    """Count BERT's weights: embeddings and their norm, layers (attention, MLP of 4 widths, two norms), pooler."""
    embeddings = (vocabulary + positions + types + 2) * width
    layer = 4 * (width + 1) * width + (2 * 4 * width + 4 + 1) * width + 4 * width
    counted = embeddings + layers * layer + (width + 1) * width
    assert SPECS[name].parameters == pytest.approx(counted, rel=0.005)


def test_specs_are_consistent():
    assert len(SPECS) == len(BUILTIN_SPECS)
    for spec in BUILTIN_SPECS:
        assert spec.heads, spec.name
        assert (spec.repo is None) != (spec.builtin is None), spec.name
        assert spec.repo is None or spec.revision, spec.name
        assert spec.summary.endswith("."), spec.name
        assert spec.builtin or spec.licence, spec.name


def test_ruri_prefixes_have_a_half_width_colon_and_one_space():
    prefixes = SPECS["ruri-v3-130m"].prefixes
    assert prefixes[Purpose.QUERY] == "検索クエリ: "
    assert prefixes[Purpose.DOCUMENT] == "検索文書: "
    assert prefixes[Purpose.TOPIC] == "トピック: "
    assert prefixes[Purpose.SIMILARITY] == ""


@pytest.mark.parametrize("size", ["small", "base", "large"])
def test_e5_says_query_on_both_sides_where_neither_is_a_document(size):
    spec = SPECS[f"multilingual-e5-{size}"]
    assert {spec.prefixes[p] for p in (Purpose.QUERY, Purpose.SIMILARITY, Purpose.TOPIC)} == {"query: "}
    assert spec.prefixes[Purpose.DOCUMENT] == "passage: "
    assert (spec.max_length, spec.licence, spec.pooling) == (512, "MIT", Pooling.MEAN)


@pytest.mark.parametrize("name", ["bekko-embedding-v1-a8m", "bekko-embedding-v1-a25m", "bge-m3"])
def test_models_without_prefixes(name):
    assert (SPECS[name].prefixes, SPECS[name].max_length, SPECS[name].heads) == ({}, 8192, (Head.EMBEDDING,))
    assert SPECS[name].pooling is (Pooling.CLS if name == "bge-m3" else Pooling.MEAN)


def test_bekko_turns_local_layers_by_the_base_that_its_config_states(tmp_path):
    folder = make_model(tmp_path / "m", layers=2, hidden=384, heads=6)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["rope_parameters"]
    config |= {"local_rope_theta": 160000.0, "global_rope_theta": 160000.0}
    shape = ModernBertConfig.from_dict(config)
    assert [shape.theta(layer) for layer in range(2)] == [160000.0, 160000.0]
    assert shape.head_dim == 64


def test_a_name_from_the_cache(hub, tmp_path, kit):
    snapshot = hub.add("sbintuitions/modernbert-ja-130m", COMMIT, kit.write_model(tmp_path / "src"))
    found = resolve("130m", SPECS, download=refuse)
    assert found.folder == snapshot
    assert found.spec.name == "130m"
    assert found.spec.revision == COMMIT
    assert found.spec.licence == "MIT"
    assert found.spec.heads == (Head.EMBEDDING, Head.MASKED_LM)
    assert found.spec.parameters == 538  # what the files hold, not what the table promises


def test_a_hub_id_and_a_revision_from_the_cache(hub, tmp_path, kit):
    source = kit.write_model(tmp_path / "src", kit.encoder)
    first = hub.add("someone/my.model-v2", COMMIT, source, ref="v1.0")
    second = hub.add("someone/my.model-v2", NEWER, source)
    assert resolve("someone/my.model-v2", SPECS).folder == second
    assert resolve("someone/my.model-v2@v1.0", SPECS).folder == first
    assert resolve(f"someone/my.model-v2@{COMMIT}", SPECS).folder == first
    assert resolve("someone/my.model-v2", SPECS).spec.heads == (Head.EMBEDDING,)


def test_a_spec_owns_its_prefixes_and_problem_type(hub, tmp_path, kit):
    hub.add("cl-nagoya/ruri-v3-30m", COMMIT, kit.write_model(tmp_path / "ruri", kit.encoder))
    assert resolve("ruri-v3-30m", SPECS).spec.prefixes[Purpose.QUERY] == "検索クエリ: "
    reranker = kit.write_model(
        tmp_path / "reranker",
        kit.classifier,
        architectures=["ModernBertForSequenceClassification"],
        id2label={"0": "LABEL_0"},
    )
    hub.add("hotchpotch/japanese-reranker-tiny-v2", COMMIT, reranker)
    spec = resolve("japanese-reranker-tiny-v2", SPECS).spec
    assert (spec.heads, spec.labels) == ((Head.CLASSIFIER,), ("LABEL_0",))
    assert spec.problem_type is ProblemType.MULTI_LABEL


def test_a_spec_says_the_pooling_where_its_files_do_not(hub, tmp_path, kit):
    folder = kit.write_model(tmp_path / "src", kit.encoder, max_position_embeddings=16_384)
    hub.add("someone/encoder", COMMIT, folder)
    declared = ModelSpec("own", repo="someone/encoder", revision="main", pooling=Pooling.CLS, max_length=1024)
    spec = resolve("own", {"own": declared}).spec
    assert (spec.pooling, spec.max_length) == (Pooling.CLS, 1024)
    assert resolve("someone/encoder", {}).spec.max_length == 16_384
    kit.write_json(folder / "modules.json", [{"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}])
    kit.write_json(folder / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    hub.add("someone/encoder", NEWER, folder)
    assert resolve("own", {"own": declared}).spec.pooling is Pooling.MEAN


def test_a_damaged_cached_model_does_not_break_the_list(hub, tmp_path, kit):
    source = kit.write_model(tmp_path / "src")
    (source / "model.safetensors").unlink()
    (source / "model.safetensors.index.json").write_text("{")
    hub.add("sbintuitions/modernbert-ja-30m", COMMIT, source)
    assert list_models({"30m": SPECS["30m"]})[0].state is State.ABSENT
    with pytest.raises(JnlpError, match=r"index\.json is damaged"):
        resolve("30m", SPECS)


def test_a_folder(tmp_path, kit, monkeypatch):
    kit.write_model(tmp_path / "my-model")
    monkeypatch.chdir(tmp_path)
    for name in ("./my-model", "my-model", str(tmp_path / "my-model"), "my-model/"):
        found = resolve(name, SPECS)
        assert found.folder.resolve() == (tmp_path / "my-model").resolve()
        assert (found.spec.name, found.spec.repo, found.spec.pooling) == (name, None, Pooling.MEAN)


def test_a_known_name_goes_before_a_folder_of_that_name(hub, tmp_path, kit, monkeypatch):
    kit.write_model(tmp_path / "130m")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(JnlpError, match="not on this machine"):
        resolve("130m", SPECS)
    assert resolve("./130m", SPECS).spec.repo is None


def test_built_in(tmp_path, kit, monkeypatch):
    monkeypatch.setattr(resolving, "BUILTIN", tmp_path)
    with pytest.raises(JnlpError, match="missing from this installation"):
        resolve("tiny", SPECS)
    kit.write_model(tmp_path / "tiny", max_position_embeddings=384)
    found = resolve("tiny", SPECS, offline=True, download=refuse)
    assert found.folder == tmp_path / "tiny"
    assert (found.spec.name, found.spec.builtin, found.spec.max_length) == ("tiny", "tiny", 384)
    assert found.spec.summary == SPECS["tiny"].summary


def test_absent_while_offline_is_one_line_with_size_and_remedies(hub):
    with pytest.raises(JnlpError) as caught:
        resolve("130m", SPECS, download=refuse)
    assert str(caught.value) == (
        "the model 130m (sbintuitions/modernbert-ja-130m, about 528 MB) is not on this machine, and HF_HUB_OFFLINE is "
        "set (`jnlp models pull 130m` with a network connection, or --model FOLDER)"
    )
    assert caught.value.exit_code == 1


def test_absent_while_the_network_is_down(hub, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with pytest.raises(JnlpError, match=r"310m .*about 1.3 GB.*the hub cannot be reached"):
        resolve("310m", SPECS, download=unreachable)
    with pytest.raises(JnlpError, match="someone/else"):
        resolve("someone/else", SPECS, download=unreachable)


def test_nothing_is_fetched_unless_allowed(hub, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with pytest.raises(JnlpError, match="not on this machine"):
        resolve("70m", SPECS, allow_download=False, download=refuse)
    with pytest.raises(JnlpError, match="not on this machine"):
        path("70m", SPECS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("130", "did you mean 130m"),
        ("ruri-v3-130", "ruri-v3-130m"),
        ("日本語モデル", "no model is called '日本語モデル'"),
        ("./nowhere", "no model folder './nowhere'"),
        ("/nowhere/at/all", "no model folder"),
        ("a/b/c", "no model folder"),
        ("../x", "no model folder"),
        ("", "no model is called ''"),
    ],
)
def test_unknown_names(hub, name, message):
    with pytest.raises(UsageError) as caught:
        resolve(name, SPECS, download=refuse)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_file_is_not_a_model(tmp_path):
    (tmp_path / "x.txt").write_text("本文")
    with pytest.raises(UsageError, match="is a file"):
        resolve(str(tmp_path / "x.txt"), SPECS)


def test_a_download_that_was_cut_short_is_continued(hub, tmp_path, kit, monkeypatch):
    source = kit.write_model(tmp_path / "src")
    (source / "model.safetensors").rename(tmp_path / "weights")
    snapshot = hub.add("sbintuitions/modernbert-ja-30m", COMMIT, source)
    assert list_models({"30m": SPECS["30m"]})[0].state is State.ABSENT
    with pytest.raises(JnlpError, match="not on this machine"):
        resolve("30m", SPECS)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    told = []

    def fetch(repo, revision, progress):
        assert (repo, revision) == ("sbintuitions/modernbert-ja-30m", "main")
        (tmp_path / "weights").rename(snapshot / "model.safetensors")
        progress(10, 10)
        return snapshot

    assert resolve("30m", SPECS, download=fetch, progress=lambda *at: told.append(at)).folder == snapshot
    assert told == [(10, 10)]


def test_pull_asks_for_news_and_keeps_what_there_is_without_a_network(hub, tmp_path, kit, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    source = kit.write_model(tmp_path / "src")
    old = hub.add("sbintuitions/modernbert-ja-30m", COMMIT, source)
    assert pull("30m", SPECS, download=unreachable).folder == old

    def fetch(repo, revision, progress):
        return hub.add(repo, NEWER, source)

    assert pull("30m", SPECS, download=fetch).spec.revision == NEWER
    assert resolve("30m", SPECS, download=refuse).spec.revision == NEWER
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert pull("30m", SPECS, download=refuse).spec.revision == NEWER


def test_list(hub, tmp_path, kit, monkeypatch):
    monkeypatch.setattr(resolving, "BUILTIN", tmp_path / "builtin")
    kit.write_model(tmp_path / "builtin" / "tiny")
    snapshot = hub.add("cl-nagoya/ruri-v3-30m", COMMIT, kit.write_model(tmp_path / "src", kit.encoder))
    listed = {status.spec.name: status for status in list_models(SPECS)}
    assert list(listed) == list(SPECS)
    assert listed["tiny"].state is State.BUILTIN
    assert listed["tiny-toxicity"].state is State.ABSENT
    assert (listed["ruri-v3-30m"].state, listed["ruri-v3-30m"].folder) == (State.CACHED, snapshot)
    assert listed["ruri-v3-30m"].bytes == sum(p.stat().st_size for p in (tmp_path / "src").iterdir())
    assert (listed["130m"].state, listed["130m"].folder, listed["130m"].bytes) == (State.ABSENT, None, 528_000_000)
    assert path("ruri-v3-30m", SPECS) == snapshot


def test_a_spec_that_leads_nowhere():
    with pytest.raises(JnlpError, match="names neither"):
        resolve("x", {"x": ModelSpec("x")}, offline=False)


@pytest.mark.parametrize(
    ("readme", "expected"),
    [
        ("---\nlicense: mit\n---\n\n# tiny\n小さなモデル。\n", "# tiny\n小さなモデル。\n"),
        ("# tiny\n\n---\n線の下\n", "# tiny\n\n---\n線の下\n"),
        ("--- 前書き", "--- 前書き\n"),
    ],
)
def test_card(tmp_path, readme, expected):
    assert card(tmp_path) == ""
    (tmp_path / "README.md").write_text(readme, encoding="utf-8")
    assert card(tmp_path) == expected


def test_a_cached_model_is_found_without_the_library_of_the_hub(hub, tmp_path, kit):
    hub.add("sbintuitions/modernbert-ja-30m", COMMIT, kit.write_model(tmp_path / "src"))
    code = (
        "import sys; from jnlp.models.resolve import resolve; from jnlp.models.specs import BUILTIN_SPECS;"
        "print(resolve('30m', {s.name: s for s in BUILTIN_SPECS}).spec.revision);"
        "print([m for m in ('torch', 'transformers', 'numpy', 'huggingface_hub', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.split("\n")[:2] == [COMMIT, "[]"]
