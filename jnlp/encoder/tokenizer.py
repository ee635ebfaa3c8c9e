"""The model's tokenizer, read from `tokenizer.json` with the tokenizers library, without transformers."""

from __future__ import annotations

import hashlib
import time
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.encoder.caches import disable_text_cache
from jnlp.encoder.files import read_json
from jnlp.encoder.threads import limit_tokenizer
from jnlp.errors import JnlpError
from jnlp.models.folder import TOKENIZER, ModelFolder, read_special
from jnlp.types import Encoded
from jnlp.usage import Stage, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence

    from tokenizers import Encoding
    from tokenizers import Tokenizer as Backend

    from jnlp.types import IntArray

LIMIT = 20_000
"""Maximum characters tokenised as one string, more than most models read. A longer text is first cut at sentence ends,
since a tokenizer needs some hundred bytes for each character of a string."""

_AT_ONCE = 200_000  # characters handed to the tokenizer in one call: some 70 MB


@dataclass(frozen=True, slots=True)
class Template:
    """The special tokens around one text, and around and between two.

    Args:
        single: Ids before and after a text.
        pair: Ids before, between and after two texts.
        types: Token types of (before, first, between, second, after); all 0 if the model has one type.
    """

    single: tuple[IntArray, IntArray]
    pair: tuple[IntArray, IntArray, IntArray]
    types: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)


class Tokenizer:
    """Implements `jnlp.types.Tokenizer` over a `tokenizers.Tokenizer`.

    Args:
        backend: The tokenizer; truncation and padding are switched off.
        special: Special tokens by name (`mask_token`, `cls_token` …), from the files next to `tokenizer.json`.
        normalize: Makes an aligned text (`jnlp.text.Aligned`) of each text before the model's own normaliser;
            offsets are mapped back. None does not change texts.
        usage: Counts the time spent.
        digest: A sha256 of `tokenizer.json`.
    """

    def __init__(
        self,
        backend: Backend,
        /,
        *,
        special: Mapping[str, str] | None = None,
        normalize: Callable[[str], Any] | None = None,
        usage: Usage | None = None,
        digest: str = "",
    ) -> None:
        backend.no_truncation()
        backend.no_padding()
        special = special or {}
        self.backend = backend
        self.digest = digest
        self.normalize = normalize
        self.usage = usage or Usage()
        self.vocabulary: int = backend.get_vocab_size(with_added_tokens=True)
        self.mask_token, self.mask_id = _mask(backend, special)
        self.template = _template(backend, special)

    def encode(self, texts: Sequence[str], /) -> list[Encoded]:
        """Encode texts with the model's special tokens; very long texts are encoded in parts, cut at sentence ends."""
        before, after = self.template.single
        return [_frame(before, body, after) for body in self.bodies(texts)]

    def bodies(self, texts: Sequence[str], /, *, prefix: str = "") -> list[Encoded]:
        """Encode texts without special tokens.

        A prefix is encoded together with each text, as in training; its tokens have the span (0, 0). A text that is
        encoded in parts has ids and offsets in int32, since it may have millions.
        """
        start = time.perf_counter()
        bodies = list(self._bodies(texts, prefix))
        self.usage.spend(Stage.TOKENIZER, time.perf_counter() - start)
        return bodies

    def pieces(self, text: str, /) -> list[int]:
        """Return the ids of a text inside a sequence: no special tokens."""
        return [int(id) for id in self.bodies([text])[0].ids]

    def decode(self, ids: Sequence[int], /) -> str:
        """Return the text of ids, special tokens left out."""
        return self.backend.decode([int(id) for id in ids], skip_special_tokens=True)

    def token(self, id: int, /) -> str:
        """Return one piece as text; a byte that is not a character by itself is `<0xE3>`."""
        piece = self.backend.id_to_token(int(id))
        if piece is None:
            raise IndexError(f"no token {id} in a vocabulary of {self.vocabulary}")
        text = self.backend.decode([int(id)], skip_special_tokens=False)
        return piece if not text or "\ufffd" in text else text

    def _bodies(self, texts: Sequence[str], prefix: str) -> Iterator[Encoded]:
        aligned = [None if self.normalize is None else self.normalize(text) for text in texts]
        strings = [text if a is None else a.text for text, a in zip(texts, aligned, strict=True)]
        parts = self._tiles(strings, prefix)
        for a in aligned:
            body = next(parts)
            yield body if a is None else Encoded(body.ids, _map(a, body.offsets))

    def _tiles(self, texts: Sequence[str], prefix: str) -> Iterator[Encoded]:
        """Encode each text in tiles and join them; calls to the tokenizer are bounded in characters."""
        from jnlp.text.sentences import cut

        tiles: list[tuple[int, str, int]] = []  # owner, string, offset of its first character in the text
        size, done, unfinished = 0, 0, _Unfinished()
        long = {owner for owner, text in enumerate(texts) if len(text) > LIMIT}
        for owner, text in enumerate(texts):
            for start, end in cut(text, LIMIT) if owner in long else [(0, len(text))]:
                head = prefix if start == 0 else ""
                tiles.append((owner, head + text[start:end], start - len(head)))
                size += end - start
                if size >= _AT_ONCE:
                    unfinished.add(tiles, self.backend, long)
                    tiles, size = [], 0
                    while done < owner:
                        yield unfinished.take(done)
                        done += 1
        unfinished.add(tiles, self.backend, long)
        for owner in range(done, len(texts)):
            yield unfinished.take(owner)


class _Unfinished:
    """Encoded tiles of incomplete texts."""

    def __init__(self) -> None:
        self._whole: dict[int, Encoded] = {}
        self._parts: dict[int, tuple[array[int], array[int]]] = {}

    def add(self, tiles: Sequence[tuple[int, str, int]], backend: Backend, cut: Container[int]) -> None:
        """Encode tiles; join those of texts in `cut` at once, in arrays that grow in place."""
        encodings = backend.encode_batch([string for _, string, _ in tiles], add_special_tokens=False)
        for (owner, _, shift), encoding in zip(tiles, encodings, strict=True):
            encoded = _arrays(encoding, shift)
            if owner not in cut:
                self._whole[owner] = encoded
                continue
            ids, offsets = self._parts.setdefault(owner, (array("i"), array("i")))
            ids.frombytes(encoded.ids.astype(np.intc).tobytes())
            offsets.frombytes(encoded.offsets.astype(np.intc).tobytes())

    def take(self, owner: int) -> Encoded:
        """Return a text whose tiles are complete."""
        if owner in self._whole:
            return self._whole.pop(owner)
        ids, offsets = self._parts.pop(owner)
        return Encoded(np.frombuffer(ids, np.intc), np.frombuffer(offsets, np.intc).reshape(-1, 2))  # type: ignore[arg-type]


def load_tokenizer(
    model: str | Path | ModelFolder,
    /,
    *,
    normalize: Callable[[str], Any] | None = None,
    usage: Usage | None = None,
    threads: int | None = None,
    device: str = "",
) -> Tokenizer:
    """Read a model folder's tokenizer.

    Args:
        model: A folder with a `tokenizer.json`, or a `ModelFolder`, which is not read again.
        normalize: See `Tokenizer`.
        usage: See `Tokenizer`.
        threads: The threads of the run; the tokenizer gets a share (`threads.limit_tokenizer`). None: all cores.
        device: The device of the model; without one, the tokenizer gets all threads.

    Raises:
        JnlpError: `tokenizer.json` is missing or broken.
    """
    from tokenizers import Tokenizer as Backend

    limit_tokenizer(threads, device)  # by itself it would take every core
    model = model if isinstance(model, ModelFolder) else Path(model)
    folder = model.folder if isinstance(model, ModelFolder) else model
    path = folder / TOKENIZER
    if not path.is_file():
        raise JnlpError(
            f"{path} is missing", hint="save the model with its fast tokenizer (a sentencepiece file alone is not read)"
        )
    try:
        written = path.read_bytes()
        backend = Backend.from_buffer(written)
    except Exception as error:  # the library raises nothing narrower
        raise JnlpError(f"{path} is not a tokenizer: {error}", hint="copy or download the model again") from error
    disable_text_cache(backend)
    special = _special(_special_files(model), backend)
    digest = hashlib.sha256(written).hexdigest()
    return Tokenizer(backend, special=special, normalize=normalize, usage=usage, digest=digest)


def _special_files(model: Path | ModelFolder) -> list[Mapping[str, Any]]:
    """Return the objects that name special tokens; the tokenizer's own files come last and take precedence."""
    if isinstance(model, ModelFolder):
        return [model.config, *model.special]
    config = model / "config.json"
    return [read_json(config) if config.is_file() else {}, *read_special(model)]


def _special(files: Sequence[Mapping[str, Any]], backend: Backend) -> dict[str, str]:
    """Return special tokens by name, from the files next to `tokenizer.json`; later files take precedence."""
    found: dict[str, str] = {}
    for values in files:
        for key, value in values.items():
            if key.endswith("_token_id") and isinstance(value, int) and (token := backend.id_to_token(value)):
                found[key.removesuffix("_id")] = token
            elif key.endswith("_token") and isinstance(value, str | dict):
                found[key] = value if isinstance(value, str) else str(value.get("content"))
    return found


def _mask(backend: Backend, special: Mapping[str, str]) -> tuple[str, int]:
    """Return the mask token and its id; ("", -1) if the model has none."""
    for token in (special.get("mask_token"), "<mask>", "[MASK]"):
        if token and (id := backend.token_to_id(token)) is not None:
            return token, id
    return "", -1


def _template(backend: Backend, special: Mapping[str, str]) -> Template:
    """Return where special tokens go, from the post-processor, or without one from the tokens' names."""
    probe = "あ"
    single, pair = backend.encode(probe), backend.encode(probe, probe)
    if None not in single.sequence_ids:
        return _named_template(backend, special)
    first, second = _range(pair, 0), _range(pair, 1)
    ids, types = np.asarray(pair.ids, dtype=np.int64), [*pair.type_ids, pair.type_ids[-1]]
    return Template(
        single=_around(np.asarray(single.ids, dtype=np.int64), _range(single, 0)),
        pair=(ids[: first[0]], ids[first[1] : second[0]], ids[second[1] :]),
        types=(types[0], types[first[0]], types[first[1]], types[second[0]], types[second[1]]),
    )


def _named_template(backend: Backend, special: Mapping[str, str]) -> Template:
    """Return `<s> … </s>` and `<s> … </s> … </s>` with the tokens named in the folder."""
    opening, closing = (
        np.asarray(
            [id for name in names if (id := backend.token_to_id(special.get(name, ""))) is not None][:1], dtype=np.int64
        )
        for names in (("bos_token", "cls_token"), ("eos_token", "sep_token"))
    )
    return Template((opening, closing), (opening, closing, closing))


def _range(encoding: Encoding, sequence: int) -> tuple[int, int]:
    """Return the range of a sequence's tokens between the special ones."""
    at = [i for i, owner in enumerate(encoding.sequence_ids) if owner == sequence]
    return at[0], at[-1] + 1


def _around(ids: IntArray, inner: tuple[int, int]) -> tuple[IntArray, IntArray]:
    return ids[: inner[0]], ids[inner[1] :]


def _arrays(encoding: Encoding, shift: int) -> Encoded:
    """Return ids and shifted offsets; tokens before the text (a prefix) get the empty span (0, 0)."""
    ids = np.asarray(encoding.ids, dtype=np.int64)
    offsets = np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    return Encoded(ids, np.maximum(offsets + shift, 0))


def _frame(before: IntArray, body: Encoded, after: IntArray) -> Encoded:
    """Put special tokens, with empty spans, around a body."""
    offsets = np.zeros((len(before) + len(body.ids) + len(after), 2), dtype=np.int64)
    offsets[len(before) : len(before) + len(body.ids)] = body.offsets
    return Encoded(np.concatenate([before, body.ids, after]), offsets)


def _map(aligned: Any, offsets: IntArray) -> IntArray:
    """Map offsets in a normalised text to offsets in the original."""
    spans = [aligned.span(int(start), int(end)) if end > start else (0, 0) for start, end in offsets]
    return np.asarray(spans, dtype=np.int64).reshape(-1, 2)
