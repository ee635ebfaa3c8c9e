"""Building, updating and searching an index, in numbers."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from jnlp.engine import Engine
from jnlp.errors import JnlpError, UsageError
from jnlp.io import documents
from jnlp.plugins import import_candidate, load_plugins
from jnlp.testing import make_model
from jnlp.text import html, markdown
from jnlp.types import Failed, Purpose, Record, Source
from jnlp_search import builder
from jnlp_search.build import build, delete, recorded_model
from jnlp_search.builder import Watch
from jnlp_search.index import Index
from jnlp_search.offsets import IndexWords
from jnlp_search.options import IndexOptions, Retriever
from jnlp_search.search import open_index
from jnlp_search.store import raw, segments
from jnlp_search.store.catalog import Catalog
from jnlp_search.store.lock import writer_lock
from jnlp_search.store.verify import verify
from jnlp_search.stores import STORE

TEXTS = {
    "契約.txt": "第1条　甲は、三か月前までに予告して、本契約を解約することができる。\n\n"
    "第2条　本契約は、一年ごとに自動更新する。\n",
    "天気.txt": "明日の東京は晴れのち曇りです。夜は雨が降るでしょう。\n",
    "料理.txt": "玉ねぎを薄切りにして、バターで炒めます。塩で味を調えます。\n",
    "猫.txt": "吾輩は猫である。名前はまだ無い。\n",
}


def records(texts: dict[str, str] | None = None) -> list[Record]:
    return [
        Record(name, text, {"title": name.removesuffix(".txt")}, Source(f"/文書/{name}", None, "utf-8"))
        for name, text in (TEXTS if texts is None else texts).items()
    ]


def numbers(report) -> tuple[int, ...]:
    return report.added, report.updated, report.unchanged, report.removed, report.failed


def found(folder, models, query, **options):
    with open_index(folder, models) as index:
        return index.search(query, **options)


def test_a_hit_says_where_it_stands(tmp_path, embedder, models):
    report = build(tmp_path / "i", records(), embedder, IndexOptions(chunk_tokens=48), model="pairs")
    assert numbers(report) == (4, 0, 0, 0, 0)
    assert report.chunks == report.embedded == 5
    hit = found(tmp_path / "i", models, "契約を途中で解約する条件")[0]
    assert (hit.rank, hit.document, hit.chunk) == (1, "契約.txt", 0)
    assert hit.text == TEXTS["契約.txt"][hit.start : hit.end] == TEXTS["契約.txt"].split("\n")[0]
    assert [hit.text[start:end] for start, end in hit.highlights] == ["契約", "解約"]
    assert hit.metadata == {"title": "契約"}
    assert 0.1 < hit.score <= 1


@pytest.mark.parametrize("analyser", ["sudachi", "bigram"])
def test_each_leg_finds(tmp_path, embedder, models, analyser):
    build(tmp_path, records(), embedder, IndexOptions(analyser=analyser), model="pairs")
    for retriever in Retriever:
        hits = found(tmp_path, models, "雨が降る", retriever=retriever, top=1)
        assert [(hit.document, hit.rank) for hit in hits] == [("天気.txt", 1)]
        marked = [hits[0].text[start:end] for start, end in hits[0].highlights]
        assert marked == (["雨", "降る"] if analyser == "sudachi" else ["雨が降る"])


def test_the_dense_leg_equals_numpy(tmp_path, embedder, models, monkeypatch):
    monkeypatch.setattr(builder, "BATCH_CHUNKS", 40)
    monkeypatch.setattr(segments, "MANY", 20)  # so that there are several, with tombstones
    texts = {
        f"{n:03}": f"{n}番目の文書は{n * 7919 % 1000}を{'読む書く話す聞く'[n % 7 :]}ためにある。" for n in range(300)
    }
    build(tmp_path, records(texts), embedder, model="pairs")
    build(tmp_path, records({"005": "入れ替えた文書。"}), embedder, model="pairs")
    delete(tmp_path, ["017", "018"])
    assert verify(tmp_path).counts["tombstones"] == 3
    texts["005"] = "入れ替えた文書。"
    del texts["017"], texts["018"]
    names = list(texts)
    vectors = embedder.embed(list(texts.values()), purpose=Purpose.DOCUMENT).vectors
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors.astype(np.float16).astype(np.float32)  # as they are kept
    for query in ("100番目の文書", "書くためにある", "入れ替え"):
        asked = embedder.embed([query]).vectors[0]
        scores = vectors @ (asked / np.linalg.norm(asked))
        hits = found(tmp_path, models, query, retriever="dense", top=300, explain=True)
        assert len(hits) == 298
        assert [hit.explain.cosine for hit in hits] == pytest.approx(sorted(scores.tolist(), reverse=True), abs=1e-6)
        assert {hit.document: hit.explain.cosine for hit in hits} == pytest.approx(
            dict(zip(names, scores.tolist(), strict=True)), abs=1e-6
        )


def test_only_what_changed_is_embedded(tmp_path, embedder, models):
    options = IndexOptions(chunk_tokens=48)
    build(tmp_path, records(), embedder, options, model="pairs")
    embedder.embedded.clear()
    assert numbers(build(tmp_path, records(), embedder, model="pairs")) == (0, 0, 4, 0, 0)
    assert embedder.embedded == []
    changed = TEXTS | {"契約.txt": TEXTS["契約.txt"].replace("一年", "二年"), "犬.txt": "犬が歩く。"}
    report = build(tmp_path, records(changed), embedder, model="pairs")
    assert numbers(report) == (1, 1, 3, 0, 0)
    assert embedder.embedded == ["第2条　本契約は、二年ごとに自動更新する。", "犬が歩く。"]
    assert (
        found(tmp_path, models, "自動更新", retriever="lexical")[0].text == "第2条　本契約は、二年ごとに自動更新する。"
    )
    assert verify(tmp_path).problems == ()


def test_changed_metadata_is_stored_without_embedding(tmp_path, embedder, models, monkeypatch):
    build(tmp_path, records(), embedder, model="pairs")
    commits: list[bool] = []
    monkeypatch.setattr(Catalog, "set_details", _within_commits(Catalog.set_details, commits))
    embedder.embedded.clear()
    moved = [Record(r.id, r.text, {"title": "新"}, r.source) for r in records()]
    assert numbers(build(tmp_path, moved, embedder, model="pairs")) == (0, 0, 4, 0, 0)
    assert embedder.embedded == []
    assert commits == [True] * 4  # one commit for all of them, not a wait for the disk each
    assert found(tmp_path, models, "猫", retriever="lexical")[0].metadata == {"title": "新"}


def _within_commits(set_details, seen: list[bool]):
    def counted(catalog, number, document):
        seen.append(catalog.db.in_transaction)
        set_details(catalog, number, document)

    return counted


def test_documents_that_vanished_from_their_folder_are_removed(tmp_path, embedder, models):
    build(tmp_path, [*records(), Record("外", "猫の外の文書。", {}, Source("/別/外.txt"))], embedder, model="pairs")
    left = [record for record in records() if record.id != "猫.txt"]
    kept = build(tmp_path, left, embedder, IndexOptions(keep_missing=True), model="pairs", sources=["/文書"])
    assert kept.removed == 0
    assert build(tmp_path, left, embedder, model="pairs").removed == 0
    assert build(tmp_path, left, embedder, model="pairs", sources=["/文"]).removed == 0
    assert build(tmp_path, left, embedder, model="pairs", sources=["/文書/"]).removed == 1
    assert [hit.document for hit in found(tmp_path, models, "猫", retriever="lexical")] == ["外"]


def test_a_document_that_cannot_be_read_stays_as_it_was(tmp_path, embedder):
    build(tmp_path, records(), embedder, model="pairs")
    broken = Failed("/文書/猫.txt", Source("/文書/猫.txt"), ValueError("読めない"))
    told: list[Failed] = []
    left = [broken if record.id == "猫.txt" else record for record in records()]
    report = build(tmp_path, left, embedder, model="pairs", sources=["/文書"], watch=Watch(failed=told.append))
    assert numbers(report) == (0, 0, 3, 0, 1)
    assert told == [broken]
    assert verify(tmp_path).counts["documents"] == 4


def test_the_documents_of_a_folder_that_cannot_be_read_stay(tmp_path, embedder):
    build(tmp_path, records(), embedder, model="pairs")
    closed = Failed("/文書", Source("/文書"), PermissionError("permission denied"))
    other = Failed("/文", Source("/文"), PermissionError("permission denied"))
    assert numbers(build(tmp_path, [closed], embedder, model="pairs", sources=["/"])) == (0, 0, 0, 0, 1)
    assert numbers(build(tmp_path, [other], embedder, model="pairs", sources=["/"])) == (0, 0, 0, 4, 1)


def test_records_that_no_index_can_hold_fail_alone(tmp_path, embedder):
    told: list[Failed] = []
    bad = [Record("対", ("前提", "仮説")), Record("半", "\ud83d"), Record("同", "一つ目。"), Record("同", "二つ目。")]
    report = build(tmp_path, [*bad, *records()], embedder, model="pairs", watch=Watch(failed=told.append))
    assert numbers(report) == (5, 0, 0, 0, 3)
    assert [failed.id for failed in told] == ["対", "半", "同"]
    assert "U+D83D" in str(told[1].error)
    assert "another document has the id '同'" in str(told[2].error)


def test_two_files_do_not_take_turns_in_one_document(tmp_path, embedder, models):
    here, there = tmp_path / "甲" / "表.csv", tmp_path / "乙" / "表.csv"
    for path in (here, there):
        path.parent.mkdir()
        path.touch()
    index, told = tmp_path / "i", []
    rows = [Record("1", f"{path.parent.name}の文書。", {}, Source(str(path), 2)) for path in (here, there)]
    assert build(index, rows[:1], embedder, model="pairs", sources=[here]).added == 1
    report = build(index, rows[1:], embedder, model="pairs", sources=[there], watch=Watch(failed=told.append))
    assert (numbers(report), told) == ((1, 0, 0, 0, 0), [])
    hits = found(index, models, "文書", retriever="lexical")
    assert {(hit.document, hit.path, hit.text) for hit in hits} == {
        ("1", str(here), "甲の文書。"),
        ("1", str(there), "乙の文書。"),
    }
    there.unlink()
    assert numbers(build(index, rows[:1], embedder, model="pairs", sources=[tmp_path])) == (0, 0, 1, 1, 0)


def test_an_index_goes_on_as_it_was_made(tmp_path, embedder, models, other_models):
    folder = tmp_path / "i"
    assert recorded_model(folder) is None
    build(folder, records(), embedder, IndexOptions(chunk_tokens=48, overlap=0), model="pairs")
    assert recorded_model(folder) == "pairs"
    for options, flag in [
        (IndexOptions(chunk_tokens=64), "--chunk-tokens 48, not 64"),
        (IndexOptions(overlap=8), "--overlap 0, not 8"),
    ]:
        with pytest.raises(JnlpError, match=flag):
            build(folder, records(), embedder, options, model="pairs")
    other = other_models.embedder()
    with pytest.raises(JnlpError, match="was made with model pairs, not other") as raised:
        build(folder, records(), other, model="other")
    assert "--rebuild" in str(raised.value)
    with pytest.raises(JnlpError, match="was made with model pairs, not other") as raised:
        open_index(folder, other_models, model="other")
    assert "--model other --rebuild" in str(raised.value)
    with pytest.raises(JnlpError, match="another version of it"):
        found(folder, other_models, "猫")
    assert found(folder, other_models, "猫", retriever="lexical")[0].document == "猫.txt"
    with open_index(folder, models) as opened:
        assert opened.search("猫")[0].document == "猫.txt"
        report = build(folder, records(), other, IndexOptions(rebuild=True, chunk_tokens=64), model="other")
        assert numbers(report) == (4, 0, 0, 0, 0)
        with pytest.raises(JnlpError, match="was made with model other"):
            opened.search("猫")
    assert found(folder, other_models, "猫")[0].document == "猫.txt"
    assert verify(folder).problems == ()


def test_another_dictionary_makes_the_full_text_again(tmp_path, embedder, models):
    build(tmp_path, records(), embedder, model="pairs")
    with Catalog.writing(tmp_path) as catalog, catalog.transaction():
        catalog.set_manifest(dataclasses.replace(catalog.manifest(), analyser_version="old"))
        catalog.analyse(lambda *_: IndexWords("旧"))
    assert found(tmp_path, models, "猫", retriever="lexical") == []
    with open_index(tmp_path, models) as index:
        assert index.is_outdated()
    embedder.embedded.clear()
    build(tmp_path, [], embedder, model="pairs")
    assert embedder.embedded == []
    with open_index(tmp_path, models) as index:
        assert not index.is_outdated()
    assert found(tmp_path, models, "猫", retriever="lexical")[0].document == "猫.txt"


def test_empty_queries_and_indexes(tmp_path, embedder, models):
    with pytest.raises(UsageError, match="there is no index at"):
        open_index(tmp_path / "無", models)
    build(tmp_path, [], embedder, model="pairs")
    for retriever in Retriever:
        assert found(tmp_path, models, "猫", retriever=retriever) == []
    build(tmp_path, [*records(), Record("空", " \n")], embedder, model="pairs")
    with pytest.raises(UsageError, match="the query is empty"):
        found(tmp_path, models, " 　\n")
    assert found(tmp_path, models, "。", retriever="lexical") == []
    assert len(found(tmp_path, models, "。")) == 4


def test_a_query_of_bytes_that_are_no_text_is_refused(tmp_path, embedder, models):
    build(tmp_path, records(), embedder, model="pairs")
    for retriever in Retriever:
        with pytest.raises(UsageError, match="bytes that are not text"):
            found(tmp_path, models, "契約\udcff", retriever=retriever)


def test_doubles_collapse_and_no_document_crowds_out_the_others(tmp_path, embedder, models):
    long = "\n\n".join(f"猫の話、その{n}。" for n in range(200))
    texts = {
        "長い.txt": long,
        "写し1.txt": "猫が鳴いた。",
        "写し2.txt": "猫が 鳴いた。\n".replace(" ", ""),
        "他.txt": "猫がいた。",
    }
    build(tmp_path, records(texts), embedder, IndexOptions(chunk_tokens=16), model="pairs")
    hits = found(tmp_path, models, "猫の話", top=10)
    assert sorted(hit.document for hit in hits) == ["他.txt", "写し1.txt", "長い.txt", "長い.txt", "長い.txt"]
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    assert len(found(tmp_path, models, "猫の話", top=10, per_document=0)) == 10
    assert len({hit.document for hit in found(tmp_path, models, "猫の話", top=3, per_document=1)}) == 3


def test_one_document_is_not_gone_through_to_its_end(tmp_path, embedder, models, monkeypatch):
    monkeypatch.setattr("jnlp_search.query.candidates.MOST", 200)
    long = "".join(f"{number}番目の猫は{number * 7}回鳴いた。" for number in range(2000))
    assert build(tmp_path, [Record("猫", long)], embedder, IndexOptions(chunk_tokens=20), model="pairs").chunks > 1000
    read: list[int] = []
    passages = Catalog.passages
    monkeypatch.setattr(Catalog, "passages", lambda self, chunks: read.append(len(chunks)) or passages(self, chunks))
    assert len(found(tmp_path, models, "猫", top=10, per_document=3)) == 3
    assert max(read) <= 2 * 400


def test_offsets_open_to_the_passage(tmp_path, embedder, models):
    files = {
        "物語.txt": ("　昔々、山の中に木こりがいた。\r\n\r\n木こりは斧を川に落とした。\r\n", "cp932"),
        "随筆.txt": ("　鉄道の旅は楽しい。\n車窓に海が見えた。\n", "euc_jp"),
        "手引.md": ("# 加湿器\n\n- **電源**を入れる。\n- [水](https://example.jp)を足す。\n", "utf-8-sig"),
        "告知.html": ("<title>告知</title><p>停電は<b>午前</b>九時&amp;十時です。</p>", "utf-8"),
    }
    folder = tmp_path / "文書"
    folder.mkdir()
    for name, (text, codec) in files.items():
        (folder / name).write_bytes(text.encode(codec))
    report = build(tmp_path / "i", documents([folder]), embedder, IndexOptions(chunk_tokens=18), model="pairs")
    assert numbers(report) == (4, 0, 0, 0, 0)
    with open_index(tmp_path / "i", models) as index:
        for query, name, passage in [
            ("斧", "物語.txt", "木こりは斧を川に落とした。"),
            ("車窓", "随筆.txt", "車窓に海が見えた。"),
            ("電源", "手引.md", None),
            ("停電", "告知.html", None),
        ]:
            hit = index.search(query, retriever="lexical", top=1)[0]
            assert Path(hit.document).name == name
            text = files[name][0]
            if name.endswith(".html"):
                assert html(text[hit.start : hit.end]).text.split() == hit.text.split()
                assert "<b>" not in hit.text
            else:
                assert text[hit.start : hit.end] == hit.text
            if passage:
                assert hit.text == passage
            assert [hit.text[a:b] for a, b in hit.highlights] == [query]


def test_markdown_shows_its_slice_and_is_embedded_without_markup(tmp_path, embedder, models):
    text = "# 手引\n\n電源を**長く**押す。\n"
    aligned = markdown(text)
    build(tmp_path, [Record("手引.md", aligned.text, {}, Source("手引.md"), text, aligned)], embedder, model="pairs")
    hit = found(tmp_path, models, "電源", retriever="lexical")[0]
    assert hit.text == text[hit.start : hit.end]
    assert "**長く**" in hit.text
    assert "**" not in embedder.embedded[0]


def test_one_writer_at_a_time_and_readers_go_on(tmp_path, embedder, models):
    build(tmp_path, records(), embedder, model="pairs")
    code = (
        "import sys; from pathlib import Path; from jnlp_search.store.lock import writer_lock\n"
        "with writer_lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": ":".join(sys.path)},
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(JnlpError, match="is being written by another process"):
            build(tmp_path, records(), embedder, model="pairs")
        assert found(tmp_path, models, "猫")[0].document == "猫.txt"
        child.kill()
    with writer_lock(tmp_path):
        pass
    assert numbers(build(tmp_path, records(), embedder, model="pairs")) == (0, 0, 4, 0, 0)


def test_an_open_index_follows_its_writer(tmp_path, embedder, models):
    build(tmp_path, records(), embedder, model="pairs")
    with open_index(tmp_path, models) as index:
        assert index.search("犬", retriever="lexical") == []
        inside: list[str] = []

        def stream():
            yield Record("犬.txt", "犬が歩く。")
            # Nothing is committed yet, and nobody waits.
            inside.extend(hit.document for hit in index.search("犬", retriever="lexical"))

        build(tmp_path, stream(), embedder, model="pairs")
        assert inside == []
        assert index.search("犬")[0].document == "犬.txt"
        for number in range(12):  # more than segments.MANY: merged behind the reader's back
            build(tmp_path, [Record(f"{number}", f"鳥の{number}。")], embedder, model="pairs")
        delete(tmp_path, ["犬.txt"])
        assert len(verify(tmp_path).counts) == 4
        assert verify(tmp_path).counts["segments"] <= segments.MANY
        assert "犬.txt" not in [hit.document for hit in index.search("犬が歩く", top=50)]
        assert len(index.search("鳥の", retriever="dense", top=50)) == 16


def test_a_merge_holds_a_bounded_number_of_vectors(tmp_path, embedder, models, monkeypatch):
    monkeypatch.setattr(builder, "BATCH_DOCUMENTS", 2)
    monkeypatch.setattr(segments, "SMALL", 10)
    monkeypatch.setattr(raw, "SLICE", 4)
    held: list[int] = []
    take = raw.Raw.take
    monkeypatch.setattr(raw.Raw, "take", lambda self, at: held.append(len(at)) or take(self, at))
    build(tmp_path, [Record(f"{number}", f"鳥の{number}。") for number in range(43)], embedder, model="pairs")
    assert sum(held) == 43
    assert max(held) <= 4
    assert verify(tmp_path).counts["segments"] == 5
    assert verify(tmp_path).problems == ()
    with open_index(tmp_path, models) as index:
        assert len(index.search("鳥の", retriever="dense", top=50)) == 43


def test_several_threads_search_one_index(tmp_path, embedder, models):
    build(tmp_path, records(), embedder, model="pairs")
    with open_index(tmp_path, models) as index:
        alone = {query: index.search(query) for query in ("猫", "雨", "解約", "バター")}
        wrong: list[str] = []

        def work() -> None:
            for query, hits in alone.items():
                if index.search(query) != hits:
                    wrong.append(query)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_eight_threads_ask_several_queries_while_an_update_lands(tmp_path, engine):
    """The new documents share no word with the queries: full text answers are the same before, meanwhile and after."""
    queries = ["猫", "雨", "解約", "バター"]
    with Index.open(tmp_path / "i", engine) as index:
        index.add(records())
        alone = {kind: index.search_many(queries, top=1, retriever=kind) for kind in ("lexical", "dense", "hybrid")}
        assert all(hits for hits in alone["lexical"])
        wrong: list[object] = []
        answered = [0] * 8
        still, ended = threading.Barrier(9), threading.Event()

        def ask(number: int) -> None:
            """Each thread asks in an order of its own: queries mixed up between threads give other answers."""
            turn = number % len(queries)
            asked = queries[turn:] + queries[:turn]
            expected = {kind: hits[turn:] + hits[:turn] for kind, hits in alone.items()}
            words = [hit.document for (hit,) in expected["lexical"]]
            try:
                for kind, hits in expected.items():
                    if index.search_many(asked, top=1, retriever=kind) != hits:
                        wrong.append(kind)
                still.wait(60)
                while not ended.is_set() or not answered[number]:
                    found = index.search_many(asked, top=1, retriever="lexical")
                    if [hit.document for (hit,) in found] != words:
                        wrong.append(found)
                    answered[number] += 1
            except Exception as error:  # an error in a thread would not fail the test by itself
                wrong.append(error)
                still.abort()

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        try:
            still.wait(60)
            for n in range(5):
                assert index.add([Record(f"新{n}", f"zzyzx {n}")]).added == 1
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        assert wrong == []
        assert min(answered) >= 1
        assert {f"新{n}" for n in range(5)} <= {place.document for place in index.documents()}


def test_the_store_opens_an_index(tmp_path, embedder, models, engine):
    build(tmp_path, records(), embedder, model="pairs")
    with STORE.open(tmp_path, engine) as index:
        assert index.search("猫", top=1)[0].document == "猫.txt"
    assert models.names == ["pairs"]


def test_a_real_encoder_through_the_engine(tmp_path):
    """Random weights: the ranking means nothing, but the numbers are the encoder's."""
    folder = make_model(tmp_path / "model", head="embedding")
    engine = Engine(load_plugins([import_candidate("search", "jnlp_search")]))
    model = str(folder)
    embedder = engine.models().embedder(model)
    build(tmp_path / "i", records(), embedder, IndexOptions(chunk_tokens=64, overlap=0), model=model)
    with Catalog.reading(tmp_path / "i") as catalog:
        chunks = list(catalog.texts())
    limits = [len(encoded.ids) for encoded in embedder.tokenizer.encode([text for _, text in chunks])]
    assert max(limits) <= 64
    vectors = embedder.embed([text for _, text in chunks], purpose=Purpose.DOCUMENT).vectors
    asked = embedder.embed(["猫の名前"], purpose=Purpose.QUERY).vectors[0]
    kept = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    expected = sorted((kept @ asked / np.linalg.norm(asked)).tolist(), reverse=True)
    index = engine.open_index(tmp_path / "i")
    hits = index.search("猫の名前", retriever="dense", top=len(chunks), per_document=0, explain=True)
    index.close()
    assert [hit.explain.cosine for hit in hits] == pytest.approx(expected, abs=1e-5)


def test_the_sample_documents_answer_the_sample_queries(tmp_path, embedder, models, root):
    examples = root / "docs" / "examples"
    report = build(tmp_path, documents([examples / "documents"]), embedder, model="pairs")
    assert report.failed == 0
    lines = (examples / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    first = total = 0
    with open_index(tmp_path, models) as index:
        for line in lines:
            query = json.loads(line)
            hits = index.search(query["query"], retriever="lexical", top=5)
            total += 1
            first += bool(hits) and Path(hits[0].document).name.startswith(query["document"])
            for hit in hits:
                path = Path(hit.metadata["path"])
                if path.suffix in (".txt", ".md"):
                    codec = {"story.txt": "cp932", "railway-memoir.txt": "euc_jp"}.get(path.name, "utf-8")
                    assert path.read_bytes().decode(codec)[hit.start : hit.end] == hit.text
    # The others share no word with their passage: they are there for the vectors.
    assert total == 34
    assert first >= 23
