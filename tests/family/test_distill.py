"""A student of a teacher's token states: its pieces are the teacher's, its targets too, and it comes near to them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

import jnlp
from jnlp.errors import JnlpError
from jnlp.models.resolve import BUILTIN
from jnlp_family.distill import development, pieces, states, texts, train
from jnlp_family.distill.student import ROWS, Targets, chunks
from jnlp_family.distill.texts import Role

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = [
    (Role.PASSAGE, "契約の期間は、締結の日から一年とする。"),
    (Role.QUERY, "契約の期間はいつまでですか"),
    (Role.PASSAGE, "期間が満了したときは、契約は終了する。"),
    (Role.QUERY, "解約するときの期間"),
    (Role.PASSAGE, "今日は天気がよいので、散歩に行きました。"),
    (Role.PASSAGE, "昨日の天気は雨で、散歩に行けませんでした。"),
    (Role.QUERY, "天気"),
] * 12
SEVEN = 7
LIKE = BUILTIN / "tiny-search"


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("distill") / "teacher"
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    lines = [text for _, text in TEXTS] + ["query: passage: ABC"]
    backend.train_from_iterator(
        lines, trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token="<unk>")
    )
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=backend.get_vocab_size(), hidden_size=64, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=128, max_position_embeddings=128, pad_token_id=1,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    backend.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def chosen(teacher: Path) -> pieces.Pieces:
    return pieces.choose(teacher, LIKE, (text for _, text in TEXTS), 330)


@pytest.fixture(scope="module")
def lessons(teacher: Path, chosen: pieces.Pieces, tmp_path_factory: pytest.TempPathFactory) -> states.Lessons:
    folder, encode = tmp_path_factory.mktemp("lessons"), train._encoder(chosen.tokenizer)
    made = states.begin(folder, LIKE, chosen.tokenizer, encode, TEXTS)
    states.reduce_teacher(teacher, chosen.taught, train.PREFIXES, made.teacher)
    ids = {name: [np.array([1, 300 + at, 2]) for at in range(3)] for name in development.PARTS}
    development.save(made.folder, ids, np.arange(3), np.arange(3, dtype=np.float32))
    reader = states.StateTeacher(made.teacher, pieces.FIRST, torch.device("cpu"))
    said: list[str] = []
    states.teach(made, reader, most=None, say=said.append)
    states.teach(made, reader, most=None, say=said.append)
    assert len(said) == 1, "a shard that is there is not computed again"
    return made


def test_each_id_is_the_same_piece_to_the_teacher(teacher: Path, chosen: pieces.Pieces) -> None:
    theirs = [piece for piece, _ in json.loads((teacher / "tokenizer.json").read_text())["model"]["vocab"]]
    ours = [piece for piece, _ in chosen.tokenizer["model"]["vocab"]]
    assert [theirs[number] for number in chosen.taught[pieces.FIRST :]] == ours[pieces.FIRST :]
    assert len(ours) == len(set(ours)) <= 330


def test_a_text_without_rare_pieces_has_the_vector_that_the_teacher_gives_it(
    teacher: Path, chosen: pieces.Pieces, lessons: states.Lessons
) -> None:
    from transformers import AutoModel

    model = AutoModel.from_pretrained(teacher).eval()
    backend = Tokenizer.from_file(str(teacher / "tokenizer.json"))
    before, end = backend.encode("passage: 字").ids[:-2], backend.encode("字").ids[-1]
    ids = [*before, *chosen.taught[lessons.ids[lessons.shard(0).rows[0]]].tolist(), end]
    with torch.no_grad():
        hidden = model(torch.tensor([ids])).last_hidden_state[0].numpy()
    shard = lessons.shard(0)
    states_of = shard.states[torch.from_numpy(shard.places([0]))].numpy()
    assert np.allclose(states_of, hidden[len(before) :], atol=0.03)  # bf16, where the processor has it
    mean = hidden.mean(axis=0)
    assert float(shard.pooled[0].numpy() @ (mean / np.linalg.norm(mean))) == pytest.approx(1, abs=2e-3)
    alone = lessons.alone()
    assert alone.shape == (len(chosen.taught) - pieces.FIRST, 64)
    ids = [*before, int(chosen.taught[pieces.FIRST + 5]), end]
    with torch.no_grad():
        single = model(torch.tensor([ids])).last_hidden_state[0, len(before)].numpy()
    assert np.allclose(alone[5], single, atol=0.03)


def test_the_states_of_several_texts_are_where_their_places_say(lessons: states.Lessons) -> None:
    shard, ends = lessons.shard(0), [0, *lessons.shard(0).ends.tolist()]
    wanted = [place for text in (5, 0, 9) for place in range(ends[text], ends[text + 1])]
    assert shard.places([5, 0, 9]).tolist() == wanted


def test_a_teacher_at_hand_gives_the_same_as_its_shards_on_disk(lessons: states.Lessons) -> None:
    reader = states.StateTeacher(lessons.teacher, pieces.FIRST, torch.device("cpu"))
    live, stored = states.LiveLessons(lessons.folder, reader), lessons.shard(0)
    assert live.ready() == lessons.ready() == [0]
    assert torch.equal(live.shard(0).states, stored.states)
    assert torch.equal(live.shard(0).pooled, stored.pooled)
    assert live.shard(0) is live.shard(0), "a shard is computed once"
    assert np.array_equal(live.alone(), lessons.alone())


def test_neighbours_stay_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(Role.PASSAGE, f"{number}番目の文") for number in range(64)]
    monkeypatch.setattr(texts, "_sets", lambda _data, _share: iter(rows))
    monkeypatch.setattr(texts, "PARTS", ())
    numbers = [int(text.split("番")[0]) for _, text in texts.texts(tmp_path)]
    assert sorted(numbers) == list(range(64)) != numbers
    runs = [numbers[at : at + texts.RUN] for at in range(0, 64, texts.RUN)]
    assert all(run == list(range(run[0], run[0] + texts.RUN)) for run in runs)


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_rows_hold_every_text_once_and_no_text_crosses_one(rows: dict[int, int]) -> None:
    rng = np.random.default_rng(0)
    sequences = [np.full(length, 9, np.int64) for length in rng.integers(2, states.LONGEST + 2, 300)]
    seen: list[int] = []
    for chunk in chunks(sequences, 3, rows):
        assert sum(map(len, chunk.sequences)) == chunk.row * rows[chunk.row]
        flat = np.concatenate(chunk.sequences)
        for at, first in zip(chunk.owners, chunk.starts, strict=True):
            last = first + len(sequences[at]) - 1
            assert first // chunk.row == last // chunk.row
            assert (flat[first : last + 1] == 9).all()
        seen += chunk.owners
    assert sorted(seen) == list(range(300))


def near(lessons: states.Lessons, folder: Path) -> float:
    """The mean cosine of a student's vectors to their targets; each of its texts is nearest to its own target."""
    shard = lessons.shard(0)
    roles = lessons.roles[list(shard.rows)]
    taught = Targets.of(shard, roles).of_vectors(shard.pooled, torch.from_numpy(roles)).numpy()[:SEVEN]
    texts = [text for _, text in TEXTS[:SEVEN]]
    vectors = np.stack([found.vector for found in jnlp.load(str(folder)).run("embed", texts)])
    assert (vectors @ taught.T).argmax(axis=1).tolist() == list(range(SEVEN))
    return float((vectors * taught).sum(axis=1).mean())


def test_a_student_comes_near_to_its_teacher_and_loads_as_an_embedder(
    lessons: states.Lessons, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "WARMUP", 1)
    train.fit(lessons, tmp_path / "short", 0.001, compiled=False)
    train.fit(lessons, tmp_path / "long", 0.1, compiled=False)
    first, last = near(lessons, tmp_path / "short"), near(lessons, tmp_path / "long")
    assert last > max(0.97, first)


def test_a_stopped_training_continues_from_its_checkpoint(
    lessons: states.Lessons, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "_SAVED", {"cpu": 0.0})
    count, steps = train._Run.count, []

    def stop(run: train._Run, tokens: int, losses: dict[str, torch.Tensor], wanted: float) -> None:
        count(run, tokens, losses, wanted)
        steps.append(run.step)
        if len(steps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(train._Run, "count", stop)
    out = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        train.fit(lessons, out, 5, compiled=False)
    assert not out.exists()
    train.fit(lessons, out, 0.001, compiled=False)  # the time is over: nothing is left to do
    assert json.loads((out / "metrics.json").read_text())["details"]["options"]["steps"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["stopped"]


def test_a_damaged_checkpoint_is_named(lessons: states.Lessons, tmp_path: Path) -> None:
    kept = tmp_path / ".student.checkpoint"
    kept.write_bytes(b"PK\x03\x04")
    with pytest.raises(JnlpError, match=r"\.student\.checkpoint cannot be read"):
        train.fit(lessons, tmp_path / "student", 0.001, compiled=False)
