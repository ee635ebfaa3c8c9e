"""`python -m tests.benchmarks --gpu`: jnlp beside transformers and sentence-transformers on a CUDA device.

Needs torch and this checkout; a peer that is not installed is left out. Random weights at the true shapes, the same
for all; all in bf16, from token ids on the host to mean-pooled vectors on the host; length-sorted, peers padded.
"""

from __future__ import annotations

import json
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.errors import JnlpError
from tests.benchmarks.measure import least_cosine
from tests.benchmarks.works import SHAPES, Shape, Work, equal, flops, mixed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Runs = Callable[[Sequence[NDArray[np.int64]], int], Vectors]

WORKS = (equal(1024, 128), equal(256, 512), equal(64, 2048), equal(16, 8192), mixed(2048))
BATCH_TOKENS = (8_192, 32_768, 65_536, 131_072)
"""Tokens a batch, padding included, of which each contender gets its best."""
ROUNDS = 5


def main() -> None:
    """Measure and print; without a CUDA device say so."""
    import torch

    if not torch.cuda.is_available():
        print("no CUDA device: nothing to measure here")
        return
    device = torch.device("cuda")
    peak = matrix_peak(device)
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, bf16 peak {peak / 1e12:,.0f} TFLOP/s", flush=True
    )
    found: dict[str, Any] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "peak": peak}
    for name, shape in SHAPES.items():
        contenders, left_out = build(shape, device)
        found[name] = {"missing": left_out, "works": {}}
        print("\n".join([f"\n{name}", *(f"- left out: {label}: {why}" for label, why in left_out.items())]), flush=True)
        for work in WORKS:
            runs = compete(contenders, work, shape.vocabulary, rounds=ROUNDS)
            found[name]["works"][work.name] = runs
            print(row(work, runs, shape, peak), flush=True)
    print(f"\n{from_text('cuda')}", flush=True)
    print(json.dumps(found))


def from_text(device: str, /, *, count: int = 50_000) -> str:
    """Return one line: tokens a second from texts to vectors with the smallest model, and the encoder's share of time.

    Where the share is near 1, the tokenizer, which runs beside the encoder, does not keep it waiting.

    Args:
        device: Where the model runs.
        count: Texts: sentences of the sample documents, each with a number of its own.
    """
    import jnlp
    from jnlp.usage import Stage
    from tests.benchmarks.precision import sample

    nlp = jnlp.load("tiny-search", device=device)
    sentences = sample()
    texts = [f"{number} {sentences[number % len(sentences)]}" for number in range(count)]
    for _ in nlp.stream("embed", texts[:500]):  # the model is loaded, and the device warm
        pass
    nlp.usage.drain()
    start = time.perf_counter()
    for _ in nlp.stream("embed", texts):
        pass
    seconds = time.perf_counter() - start
    done = nlp.usage.drain()
    busy = done["seconds"][Stage.ENCODER] / seconds
    return f"from text, tiny-search: {done['tokens'] / seconds:,.0f} tokens/s; the encoder works {busy:.0%} of the time"


def row(work: Work, runs: dict[str, dict[str, Any]], shape: Shape, peak: float, /) -> str:
    """Return one line: each contender's tokens a second and share of the peak in per cent."""
    cells = []
    for label, run in runs.items():
        seconds = statistics.median(run["seconds"])
        share = flops(shape, work) / seconds / peak
        cells.append(f"{label} {work.tokens / seconds:,.0f} ({100 * share:.0f})")
    return f"{work.name}: {', '.join(cells)}"


def build(
    shape: Shape, device: torch.device, dtype: torch.dtype | None = None, /
) -> tuple[dict[str, Runs], dict[str, str]]:
    """Return the contenders by label, with the same weights, and why others are missing.

    Args:
        shape: The model's.
        device: Where they run.
        dtype: Of weights and states; None: bf16.
    """
    import torch

    from jnlp.encoder.modernbert import ModernBert, ModernBertConfig

    dtype = dtype or torch.bfloat16
    config = ModernBertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
    )
    torch.manual_seed(0)
    network = ModernBert(config).requires_grad_(False).eval()
    contenders: dict[str, Runs] = {}
    missing: dict[str, str] = {}
    values, weights = config.to_dict(), {name: w.clone() for name, w in network.state_dict().items()}
    makers: dict[str, Callable[[], Runs]] = {
        "transformers sdpa": lambda: padded(_transformers(values, weights, "sdpa", device, dtype), device),
        "transformers flash": lambda: padded(
            _transformers(values, weights, "flash_attention_2", device, dtype), device
        ),
        "sentence-transformers": lambda: padded(_sentence_transformers(values, weights, device, dtype), device),
        "jnlp": lambda: packed(network.to(device, dtype), device),
        "jnlp --compile": lambda: packed(_fused(network.to(device, dtype)), device),
    }
    for label, make in makers.items():
        try:
            contenders[label] = make()
        except (ImportError, ValueError, RuntimeError) as error:
            missing[label] = str(error).splitlines()[0]
    return contenders, missing


def packed(network: Any, device: torch.device, /) -> Runs:
    """Return jnlp's encoder as a contender, batches by a budget of tokens."""
    from jnlp.encoder.batching import BatchRunner
    from jnlp.encoder.pooling import pool
    from jnlp.encoder.torch_backend import TorchBackend
    from jnlp.encoder.windows import Window
    from jnlp.types import Pooling

    def window(ids: NDArray[np.int64]) -> Window:
        zeros = np.zeros_like(ids)
        return Window(ids, zeros, np.stack([zeros, zeros], axis=1), (0, 0), len(ids), (0, len(ids)))

    def runs(texts: Sequence[NDArray[np.int64]], tokens: int) -> Vectors:
        runner = BatchRunner(TorchBackend(device), tokens)
        rows = runner.map(map(window, texts), lambda batch, _: pool(network(batch), batch, Pooling.MEAN))
        return np.asarray(list(rows), dtype=np.float32)

    return runs


def padded(forward: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], device: torch.device, /) -> Runs:
    """Return a contender of a function of padded ids and mask `[B, L]` that gives vectors `[B, d]`."""
    import torch

    @torch.inference_mode()
    def runs(texts: Sequence[NDArray[np.int64]], tokens: int) -> Vectors:
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        parts, start = [], 0
        while start < len(order):
            longest = len(texts[order[start]])
            chosen = order[start : start + max(1, tokens // longest)]
            start += len(chosen)
            ids, mask = np.full((len(chosen), longest), 3), np.zeros((len(chosen), longest), np.int64)
            for line, i in enumerate(chosen):
                ids[line, : len(texts[i])], mask[line, : len(texts[i])] = texts[i], 1
            moved = (torch.from_numpy(x).to(device, non_blocking=True) for x in (ids, mask))
            parts.append(forward(*moved).float())
        vectors = torch.cat(parts).cpu().numpy()
        rows: Vectors = np.empty_like(vectors)
        rows[order] = vectors
        return rows

    return runs


def compete(
    contenders: dict[str, Runs], work: Work, vocabulary: int, /, *, rounds: int, sizes: Sequence[int] = BATCH_TOKENS
) -> dict[str, dict[str, Any]]:
    """Return seconds and tokens a batch by label, in turn; vectors are compared on a part of the texts first.

    A contender that runs out of memory at a size does without it; one that is wrong, or has no size left, is out.
    """
    import torch

    texts = work.texts(vocabulary)
    some = texts[:: max(1, len(texts) // 16)]
    found: dict[str, dict[str, Any]] = {}
    wanted: Vectors | None = None
    for label, runs in contenders.items():
        times: dict[int, float] = {}
        for size in sizes:
            try:
                runs(some, size)
                times[size] = timed(partial(runs, texts, size))
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
            except JnlpError as error:
                print(f"- {work.name}: left out: {label}: {error.message}")
                break
        if not times:
            continue
        vectors = runs(some, min(sizes))
        wanted = vectors if wanted is None else wanted
        if least_cosine(vectors, wanted) >= 0.999:
            found[label] = {"batch": min(times, key=lambda size: times[size]), "seconds": []}
    for _ in range(rounds):
        for label, run in found.items():
            run["seconds"].append(timed(partial(contenders[label], texts, run["batch"])))
    return found


def timed(call: Callable[[], Vectors], /) -> float:
    """Return the seconds of a call; its vectors are on the host, so the device is done."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def matrix_peak(device: torch.device, /, *, sizes: Sequence[int] = (4096, 8192), repeats: int = 20) -> float:
    """Return the operations a second of the best square product in bf16."""
    import torch

    best = 0.0
    for size in sizes:
        a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
        for _ in range(3):
            a @ b
        for _ in range(3):
            synchronize(device)
            start = time.perf_counter()
            for _ in range(repeats):
                a @ b
            synchronize(device)
            best = max(best, 2 * size**3 * repeats / (time.perf_counter() - start))
    return best


def _fused(network: Any) -> Callable[[Any], torch.Tensor]:
    """Return an encoder with its layers compiled; the runs that choose a batch size wait for the compiler."""
    from jnlp.encoder.forms.gpu_compiled import CompiledForward

    return CompiledForward(network)


def synchronize(device: torch.device, /) -> None:
    """Wait until a CUDA device is done."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _transformers(
    values: dict[str, Any],
    weights: dict[str, torch.Tensor],
    attention: str,
    device: torch.device,
    dtype: torch.dtype,
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    from transformers import ModernBertConfig, ModernBertModel

    config = ModernBertConfig(**values)
    config._attn_implementation = attention
    model = ModernBertModel._from_config(config, attn_implementation=attention, dtype=dtype)
    model.load_state_dict(weights)
    model.to(device).eval()  # not to the dtype, which its weights have: the angles' frequencies stay in fp32

    def forward(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        vectors: torch.Tensor = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return vectors

    return forward


def _sentence_transformers(
    values: dict[str, Any], weights: dict[str, torch.Tensor], device: torch.device, dtype: torch.dtype
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    import json as files
    import tempfile
    from pathlib import Path

    from safetensors.torch import save_file
    from sentence_transformers import SentenceTransformer

    from jnlp.testing import make_tokenizer

    with tempfile.TemporaryDirectory() as name:
        folder = make_tokenizer(Path(name))
        text = files.dumps(values | {"architectures": ["ModernBertModel"]})
        (folder / "config.json").write_text(text, encoding="utf-8")
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        model = SentenceTransformer(str(folder), device=str(device), model_kwargs={"dtype": dtype})

    def forward(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = model({"input_ids": ids, "attention_mask": mask})["sentence_embedding"]
        return vectors

    return forward
