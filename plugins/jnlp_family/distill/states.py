"""The teacher's state of every token of the texts: in shards on disk, or computed by a teacher at hand and kept."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.errors import JnlpError
from jnlp.strict_json import dumps
from jnlp_family.distill.texts import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    Ids = NDArray[np.int64]

SHARD = 8192
"""Texts of a shard."""

BATCH = {"cpu": 4_096, "cuda": 131_072}
"""Tokens of a teacher's batch, with padding, by device."""

LONGEST = 448
"""Tokens of a text."""

_TEXTS, _TOKENIZER, _SHARDS, _TEACHER = "texts.npz", "tokenizer.json", "shards", "teacher"
_ALONE, _WORDS, _LIKE = "alone.npy", "words.json", "like"
_FORM = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "sentence_bert_config.json",
)


@dataclass(frozen=True, slots=True)
class Shard:
    """The teacher's answers for consecutive texts.

    Args:
        rows: The numbers of the texts.
        states: float16 `[tokens, t]`, of the tokens of each text and its end, one text after another.
        ends: Where each text's states end.
        pooled: float16 `[texts, t]`, the teacher's vectors of the texts.
    """

    rows: range
    states: Tensor
    ends: NDArray[np.int64]
    pooled: Tensor

    def places(self, texts: Sequence[int] | Ids, /) -> Ids:
        """Return where the states of texts are, one text after another, by the texts' places in the shard."""
        found = np.asarray(texts, np.int64)
        lengths = np.diff(self.ends, prepend=0)[found]
        before = np.cumsum(lengths) - lengths
        offsets: Ids = np.repeat(self.ends[found] - lengths - before, lengths)
        return offsets + np.arange(len(offsets))


@dataclass(frozen=True)
class Lessons:
    """The texts as ids, and the teacher's states of them as far as they are computed.

    Args:
        folder: Where they are.
    """

    folder: Path

    @cached_property
    def _texts(self) -> tuple[list[NDArray[np.uint16]], NDArray[np.int64]]:
        if not (self.folder / _TEXTS).is_file():
            raise JnlpError(f"{self.folder} has no {_TEXTS}", hint="python -m jnlp_family.distill.train teach …")
        with np.load(self.folder / _TEXTS) as stored:
            ids = np.split(stored["ids"], np.cumsum(stored["lengths"], dtype=np.int64)[:-1])
            return ids, stored["roles"].astype(np.int64)

    @property
    def ids(self) -> list[NDArray[np.uint16]]:
        """The ids of each text, without special tokens."""
        return self._texts[0]

    @property
    def roles(self) -> NDArray[np.int64]:
        """The `Role` of each text, int64 `[n]`."""
        return self._texts[1]

    @property
    def tokenizer(self) -> Path:
        """The tokenizer's file."""
        return self.folder / _TOKENIZER

    @property
    def like(self) -> Path:
        """The folder with the form that a student takes over: config and tokenizer files."""
        return self.folder / _LIKE

    @property
    def teacher(self) -> Path:
        """The folder of the teacher, reduced to the pieces."""
        return self.folder / _TEACHER

    @property
    def count(self) -> int:
        """Number of shards when all are computed."""
        return -(-len(self.ids) // SHARD)

    def alone(self) -> NDArray[np.float16]:
        """Return the teacher's state of each piece by itself, float16 `[pieces, t]`."""
        found: NDArray[np.float16] = np.load(self.folder / _ALONE)
        return found

    def ready(self) -> list[int]:
        """Return the numbers of the shards that are computed."""
        return sorted(int(path.stem) for path in (self.folder / _SHARDS).glob("[0-9]*.npz"))

    def shard(self, number: int, /) -> Shard:
        """Return a shard that is ready; its states are mapped from disk."""
        import torch

        path = self.folder / _SHARDS / f"{number:03d}"
        with np.load(path.with_suffix(".npz")) as stored:
            pooled = torch.from_numpy(stored["pooled"])
        states = torch.from_numpy(np.load(path.with_suffix(".states.npy"), mmap_mode="c"))
        return Shard(self._rows(number), states, self._ends(number), pooled)

    def texts_of(self, number: int, /) -> list[tuple[Role, Ids]]:
        """Return the texts of a shard."""
        return [(Role(int(self.roles[row])), self.ids[row].astype(np.int64)) for row in self._rows(number)]

    def _rows(self, number: int) -> range:
        return range(number * SHARD, min(len(self.ids), (number + 1) * SHARD))

    def _ends(self, number: int) -> NDArray[np.int64]:
        return np.cumsum([len(self.ids[row]) + 1 for row in self._rows(number)], dtype=np.int64)


@dataclass(frozen=True)
class LiveLessons(Lessons):
    """Lessons whose teacher is at hand: a shard is computed when it is first asked for and kept where the teacher is.

    Args:
        folder: Where the texts are.
        reader: The teacher.
    """

    reader: StateTeacher
    _kept: dict[int, Shard] = field(default_factory=dict)

    def alone(self) -> NDArray[np.float16]:
        """Return the teacher's state of each piece by itself, float16 `[pieces, t]`."""
        return self.reader.alone()

    def ready(self) -> list[int]:
        """Return the numbers of all shards."""
        return list(range(self.count))

    def shard(self, number: int, /) -> Shard:
        """Return a shard."""
        if number not in self._kept:
            states, pooled = self.reader.read(self.texts_of(number))
            self._kept[number] = Shard(self._rows(number), states, self._ends(number), pooled.cpu())
        return self._kept[number]


def begin(
    folder: Path,
    like: Path,
    tokenizer: dict[str, object],
    encode: Callable[[Sequence[str]], list[Ids]],
    texts: Sequence[tuple[Role, str]],
    /,
) -> Lessons:
    """Write the texts' ids, the tokenizer and the form of a student into a folder, and return them.

    Args:
        folder: The folder, made if needed.
        like: A folder of the family whose config and tokenizer files a student takes over.
        tokenizer: The content of `tokenizer.json`.
        encode: Turns texts into ids without special tokens.
        texts: The texts with their roles.
    """
    (folder / _SHARDS).mkdir(parents=True, exist_ok=True)
    (folder / _LIKE).mkdir(exist_ok=True)
    for name in filter(lambda name: (like / name).is_file(), _FORM):
        shutil.copyfile(like / name, folder / _LIKE / name)
    ids = [own[:LONGEST].astype(np.uint16) for own in encode([text for _, text in texts])]
    (folder / _TOKENIZER).write_text(dumps(tokenizer), encoding="utf-8")
    lengths = np.array([len(own) for own in ids], np.int32)
    roles = np.array([int(role) for role, _ in texts], np.int8)
    with (folder / "part").open("wb") as file:
        np.savez(file, ids=np.concatenate(ids), lengths=lengths, roles=roles)
    (folder / "part").replace(folder / _TEXTS)
    return Lessons(folder)


def reduce_teacher(teacher: Path, taught: NDArray[np.int32], prefixes: dict[Role, str], out: Path, /) -> None:
    """Write a BERT-like teacher into a folder, in fp16, with the embeddings of a student's pieces and little more.

    Args:
        teacher: Its folder, in transformers' layout, with a `tokenizer.json`.
        taught: Its id of each of the student's ids.
        prefixes: Its prefix of each role, such as `query: `.
        out: The folder to make.
    """
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModel

    tokenizer = Tokenizer.from_file(str(teacher / "tokenizer.json"))
    before = [tokenizer.encode(prefixes[role] + "字").ids[:-2] for role in Role]
    end = tokenizer.encode("字").ids[-1]
    model = AutoModel.from_pretrained(teacher, dtype=torch.float32)
    extra = [int(model.config.pad_token_id), end, *sorted({one for ids in before for one in ids})]
    place = {own: len(taught) + at for at, own in reversed(list(enumerate(extra)))}
    embedding = model.get_input_embeddings()
    rows = torch.cat([torch.from_numpy(taught.astype(np.int64)), torch.tensor(extra)])
    model.set_input_embeddings(
        torch.nn.Embedding(len(rows), embedding.embedding_dim, _weight=embedding.weight[rows].detach())
    )
    model.config.vocab_size, model.config.pad_token_id = len(rows), place[extra[0]]
    model.half().save_pretrained(out)
    words: dict[str, Any] = {"before": [[place[one] for one in ids] for ids in before], "end": place[end]}
    (out / _WORDS).write_text(dumps(words | {"pieces": len(taught)}) + "\n", encoding="utf-8")


class StateTeacher:
    """A BERT-like teacher that reads a student's pieces.

    Args:
        folder: What `reduce_teacher` wrote.
        first: The first id that is a piece.
        device: Where it computes.
    """

    def __init__(self, folder: Path, first: int, device: torch.device, /) -> None:
        import torch
        from transformers import AutoModel

        from jnlp.encoder.files import read_json
        from jnlp.encoder.runtime import has_bf16

        words: dict[str, Any] = read_json(folder / _WORDS)
        self._before = [np.array(ids, np.int64) for ids in words["before"]]
        self._end, self._pieces = int(words["end"]), range(first, int(words["pieces"]))
        self._device = device
        dtype = torch.bfloat16 if has_bf16(str(device)) else torch.float32
        self._model = AutoModel.from_pretrained(folder, dtype=dtype).to(device).eval()
        self._pad = int(self._model.config.pad_token_id)

    def alone(self) -> NDArray[np.float16]:
        """Return the state of each piece by itself, float16 `[pieces, t]`."""
        states, _ = self.read([(Role.PASSAGE, np.array([piece], np.int64)) for piece in self._pieces])
        found: NDArray[np.float16] = states[::2].cpu().numpy()
        return found

    def read(self, texts: Sequence[tuple[Role, Ids]], /) -> tuple[Tensor, Tensor]:
        """Return the states of the texts' tokens and ends, float16 `[tokens, t]`, and their unit vectors `[n, t]`."""
        import torch

        from jnlp.encoder.packing import batches

        rows = [np.concatenate([self._before[role], ids, [self._end]]) for role, ids in texts]
        lengths = np.array([len(row) for row in rows])
        before = np.array([len(self._before[role]) for role, _ in texts])
        ends = np.cumsum(lengths - before)
        width = int(self._model.config.hidden_size)
        states = torch.empty(int(ends[-1]), width, dtype=torch.float16, device=self._device)
        pooled = torch.empty(len(rows), width, dtype=torch.float16, device=self._device)
        for batch in batches(lengths.tolist(), BATCH[self._device.type], padded=True):
            ids = np.full((len(batch), lengths[batch].max()), self._pad, np.int64)
            for line, row in enumerate(batch):
                ids[line, : lengths[row]] = rows[row]
            at = np.arange(ids.shape[1])
            mask = torch.from_numpy(at < lengths[batch, None]).to(self._device)
            kept = np.flatnonzero((at >= before[batch, None]) & (at < lengths[batch, None]))
            to = np.concatenate([np.arange(ends[row] - lengths[row] + before[row], ends[row]) for row in batch])
            with torch.inference_mode():
                found = self._model(
                    torch.from_numpy(ids).to(self._device), attention_mask=mask.long()
                ).last_hidden_state.float()
                mean = (found * mask[..., None]).sum(dim=1)
                pooled[batch] = torch.nn.functional.normalize(mean, dim=1).half()
                states[torch.from_numpy(to).to(self._device)] = found.flatten(0, 1)[
                    torch.from_numpy(kept).to(self._device)
                ].half()
        return states, pooled


def teach(lessons: Lessons, teacher: StateTeacher, /, *, most: int | None, say: Callable[[str], None]) -> None:
    """Compute what is not there: the states of single pieces, and the shards.

    Args:
        lessons: The texts.
        teacher: Reads them.
        most: Number of shards; None is all.
        say: Gets a line a shard.
    """
    if not (lessons.folder / _ALONE).exists():
        np.save(lessons.folder / _ALONE, teacher.alone())
    for number in range(lessons.count if most is None else min(lessons.count, most)):
        if number in lessons.ready():
            continue
        states, pooled = teacher.read(lessons.texts_of(number))
        path = lessons.folder / _SHARDS / f"{number:03d}"
        np.save(path.with_suffix(".states.npy"), states.cpu().numpy())
        with (lessons.folder / "part").open("wb") as file:
            np.savez(file, pooled=pooled.cpu().numpy())
            file.flush()
            os.fsync(file.fileno())
        (lessons.folder / "part").replace(path.with_suffix(".npz"))
        say(f"shard {number + 1}/{lessons.count}: {len(states):,} states")
