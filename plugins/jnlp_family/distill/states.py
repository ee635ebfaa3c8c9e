"""The teacher's state of every token of the texts, in shards on disk; a stopped run continues after its last shard."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from jnlp.errors import JnlpError
from jnlp.strict_json import dumps
from jnlp_family.distill.texts import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Ids = NDArray[np.int64]
    Floats = NDArray[np.float32]

SHARD, BATCH = 8192, 4096
"""Texts of a shard, and tokens of a teacher's batch."""

LONGEST = 320
"""Tokens of a text."""

_TEXTS, _TOKENIZER, _SHARDS = "texts.npz", "tokenizer.json", "shards"


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
    states: NDArray[np.float16]
    ends: NDArray[np.int64]
    pooled: NDArray[np.float16]

    def of(self, text: int, /) -> NDArray[np.float16]:
        """Return the states of a text's tokens and of its end, by its place in the shard."""
        return self.states[int(self.ends[text - 1]) if text else 0 : int(self.ends[text])]


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
            ids = np.split(stored["ids"], np.cumsum(stored["lengths"])[:-1])
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

    def ready(self) -> list[int]:
        """Return the numbers of the shards that are computed."""
        return sorted(int(path.stem) for path in (self.folder / _SHARDS).glob("[0-9]*.npz"))

    def shard(self, number: int, /) -> Shard:
        """Return a shard that is ready; its states are mapped from disk."""
        path = self.folder / _SHARDS / f"{number:03d}"
        rows = range(number * SHARD, min(len(self.ids), (number + 1) * SHARD))
        ends = np.cumsum([len(self.ids[row]) + 1 for row in rows])
        with np.load(path.with_suffix(".npz")) as stored:
            pooled = stored["pooled"]
        return Shard(rows, np.load(path.with_suffix(".states.npy"), mmap_mode="r"), ends, pooled)


def begin(
    folder: Path,
    tokenizer: dict[str, object],
    encode: Callable[[Sequence[str]], list[Ids]],
    texts: Sequence[tuple[Role, str]],
    /,
) -> Lessons:
    """Write the texts' ids and the tokenizer into a folder, and return them.

    Args:
        folder: The folder, made if needed.
        tokenizer: The content of `tokenizer.json`.
        encode: Turns texts into ids without special tokens.
        texts: The texts with their roles.
    """
    (folder / _SHARDS).mkdir(parents=True, exist_ok=True)
    ids = [own[:LONGEST].astype(np.uint16) for own in encode([text for _, text in texts])]
    (folder / _TOKENIZER).write_text(dumps(tokenizer), encoding="utf-8")
    lengths, roles = [len(own) for own in ids], [int(role) for role, _ in texts]
    with (folder / "part").open("wb") as file:
        np.savez(file, ids=np.concatenate(ids), lengths=lengths, roles=roles)
    (folder / "part").replace(folder / _TEXTS)
    return Lessons(folder)


class StateTeacher:
    """A BERT-like teacher that reads a student's pieces.

    Args:
        folder: Its folder, in transformers' layout, with a `tokenizer.json`.
        taught: Its id of each of the student's ids.
        prefixes: Its prefix of each role, such as `query: `.
    """

    def __init__(self, folder: Path, taught: NDArray[np.int32], prefixes: dict[Role, str], /) -> None:
        import torch
        from tokenizers import Tokenizer
        from transformers import AutoModel

        from jnlp.encoder.runtime import has_bf16

        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._before = {role: tokenizer.encode(prefix + "字").ids[:-2] for role, prefix in prefixes.items()}
        self._end = tokenizer.encode("字").ids[-1]
        self._taught = taught
        dtype = torch.bfloat16 if has_bf16("cpu") else torch.float32
        self._model = AutoModel.from_pretrained(folder, dtype=dtype).eval()
        self._pad = int(self._model.config.pad_token_id)

    def read(self, texts: Sequence[tuple[Role, Ids]], /) -> tuple[list[NDArray[np.float16]], NDArray[np.float16]]:
        """Return the states of each text's tokens and of its end, and all texts' unit vectors, both in order."""
        rows = [np.concatenate([self._before[role], self._taught[ids], [self._end]]) for role, ids in texts]
        order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
        states: list[NDArray[np.float16]] = [np.empty(0, np.float16)] * len(rows)
        pooled = np.empty((len(rows), self._model.config.hidden_size), np.float16)
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and (end - start + 1) * len(rows[order[end]]) <= BATCH:
                end += 1
            batch = order[start:end]
            hidden = self._hidden([rows[at] for at in batch])
            for at, own in zip(batch, hidden, strict=True):
                mean = own.mean(axis=0)
                pooled[at] = mean / np.linalg.norm(mean)
                states[at] = own[len(self._before[texts[at][0]]) :].astype(np.float16)
            start = end
        return states, pooled

    def _hidden(self, rows: Sequence[Ids]) -> list[Floats]:
        import torch

        ids = np.full((len(rows), max(map(len, rows))), self._pad, np.int64)
        mask = np.zeros_like(ids)
        for own, row in enumerate(rows):
            ids[own, : len(row)], mask[own, : len(row)] = row, 1
        with torch.inference_mode():
            found = self._model(torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).last_hidden_state
        whole = found.float().numpy()
        return [whole[own, : len(row)] for own, row in enumerate(rows)]


def teach(lessons: Lessons, teacher: StateTeacher, /, *, most: int | None, say: Callable[[str], None]) -> None:
    """Compute the shards that are not there.

    Args:
        lessons: The texts.
        teacher: Reads them.
        most: Number of shards; None is all.
        say: Gets a line a shard.
    """
    count = -(-len(lessons.ids) // SHARD)
    for number in range(min(count, most or count)):
        if number in lessons.ready():
            continue
        rows = range(number * SHARD, min(len(lessons.ids), (number + 1) * SHARD))
        texts = [(Role(int(lessons.roles[row])), lessons.ids[row].astype(np.int64)) for row in rows]
        states, pooled = teacher.read(texts)
        path = lessons.folder / _SHARDS / f"{number:03d}"
        np.save(path.with_suffix(".states.npy"), np.concatenate(states))
        with (lessons.folder / "part").open("wb") as file:
            np.savez(file, pooled=pooled)
            file.flush()
            os.fsync(file.fileno())
        (lessons.folder / "part").replace(path.with_suffix(".npz"))
        say(f"shard {number + 1}/{count}: {sum(map(len, states)):,} states")
