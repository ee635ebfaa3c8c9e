"""`python -m tests.benchmarks --gpu`: jnlp beside transformers and sentence-transformers on a CUDA device.

Needs torch and this checkout; a peer that is not installed is left out. Random weights at the true shapes, the same
for all; all in bf16, from token ids on the host to mean-pooled vectors on the host; length-sorted, peers padded.
`--only 30m,310m:mixed,training` chooses. Results are saved in docs/benchmarks.json, and the page is printed from it.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.errors import JnlpError
from tests.benchmarks.contenders import ROOT
from tests.benchmarks.measure import least_cosine
from tests.benchmarks.works import SHAPES, Shape, Work, equal, flops, mixed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    import torch
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Runs = Callable[[Sequence[NDArray[np.int64]], int], Vectors]

SMALL = (equal(16, 512), equal(4, 2048), equal(1, 8192), mixed(256))
LARGE = (equal(256, 512), mixed(2048, name="2,048 mixed"))
BATCH_TOKENS = (8_192, 32_768, 131_072)
"""Tokens a batch, padding included, of which each contender gets its best."""
ROUNDS = 5
WARM = 3
"""Runs before the first that is timed: from then on small batches are recorded."""
SLOW = 0.1
"""Seconds of a run that needs no more of these: its batches are too large for recordings."""
COMPILED = "jnlp --compile"


def measure(asked: argparse.Namespace, results: dict[str, Any], save: Callable[[], None], /) -> None:
    """Measure what is asked for, print it, and save it in the results after each work; without a GPU say so."""
    import torch

    if not torch.cuda.is_available():
        print("no CUDA device: nothing to measure here")
        return
    device = torch.device("cuda")
    found: dict[str, Any] = results.setdefault("gpu", {}).setdefault(torch.cuda.get_device_name(), {"models": {}})
    found |= {"peak": matrix_peak(device), "date": time.strftime("%Y-%m-%d"), "commit": commit()}
    found["versions"] = {name: version(name) for name in ("torch", "transformers", "sentence-transformers")}
    print(f"{torch.cuda.get_device_name()}, bf16 peak {found['peak'] / 1e12:,.0f} TFLOP/s", flush=True)
    for name, shape in SHAPES.items():
        works = [work for work in (*SMALL, *LARGE) if wanted(asked.only, name, work.name)]
        if not works:
            continue
        contenders, left_out = build(shape, device, asked.contenders)
        entry = found["models"].setdefault(name, {"shape": asdict(shape), "works": {}})
        entry["missing"] = left_out
        print("\n".join([name, *(f"- left out: {label}: {why}" for label, why in left_out.items())]), flush=True)
        for work in works:
            runs = compete(contenders, work, shape.vocabulary, rounds=asked.rounds)
            old = entry["works"].get(work.name, {"runs": {}})["runs"] if asked.contenders else {}
            entry["works"][work.name] = {"lengths": list(work.lengths), "runs": old | runs}
            print(row(work, runs, shape, found["peak"]), flush=True)
            save()
    if wanted(asked.only, "training"):
        from tests.benchmarks import gpu_training

        found["training"] = gpu_training.table(found["peak"])
        save()
    if wanted(asked.only, "text"):
        found["text"] = from_text("cuda")
        print(found["text"], flush=True)
        save()


def commit() -> str:
    """Return the commit of this checkout; of a copy without one, nothing."""
    try:
        done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip()


def page(results: dict[str, Any], /) -> str:
    """Return the tables of every GPU as Markdown: tokens a second, and the share of the matrix peak in per cent."""
    blocks = []
    for device, found in results["gpu"].items():
        for name, entry in found["models"].items():
            works = list(entry["works"])
            labels = list(dict.fromkeys(label for work in works for label in entry["works"][work]["runs"]))
            head = f"| {device}, {name}: tokens/s (% of peak) | {' | '.join(works)} |"
            blocks.append(f"{head}\n|---|{'---|' * len(works)}")
            for label in labels:
                cells = (_cell(entry, work, label, found["peak"]) for work in works)
                blocks[-1] += f"\n| {label} | {' | '.join(cells)} |"
        if "training" in found:
            blocks.append(found["training"])
        made = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
        about = f"{device}, {made}, {found['date']}, commit {found['commit']}. Matrix peak {found['peak'] / 1e12:,.0f}"
        text = f" {found['text'][:1].upper()}{found['text'][1:]}." if "text" in found else ""
        blocks.append(f"{about} TFLOP/s in bf16. Medians of {ROUNDS} rounds in turn.{text}")
    return "\n\n".join(blocks)


def _cell(entry: dict[str, Any], work: str, label: str, peak: float) -> str:
    found = entry["works"][work]
    if label not in found["runs"]:
        return "–"
    done = Work(work, tuple(found["lengths"]))
    seconds = statistics.median(found["runs"][label]["seconds"])
    share = flops(Shape(**entry["shape"]), done) / seconds / peak
    return f"{done.tokens / seconds:,.0f} ({100 * share:.0f})"


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


def wanted(only: str, *names: str) -> bool:
    """Say if a model's work (`30m`, `mixed`) is among the parts asked for."""
    parts = [part.split(":") for part in only.split(",") if part]
    named = [name.replace(",", "") for name in names]
    return not parts or any(part == named[: len(part)] for part in parts)


def build(
    shape: Shape, device: torch.device, only: str = "", /, *, dtype: torch.dtype | None = None
) -> tuple[dict[str, Runs], dict[str, str]]:
    """Return the contenders by label, with the same weights, and why others are missing.

    Args:
        shape: The model's.
        device: Where they run.
        only: Parts of labels, commas between; empty: all.
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
    with device:
        network = ModernBert(config).requires_grad_(False).eval().to(dtype)
    contenders: dict[str, Runs] = {}
    missing: dict[str, str] = {}
    values, weights = config.to_dict(), {name: w.clone() for name, w in network.state_dict().items()}
    makers: dict[str, Callable[[], Runs]] = {
        "transformers sdpa": lambda: padded(_transformers(values, weights, "sdpa", device, dtype), device),
        "transformers flash": lambda: padded(
            _transformers(values, weights, "flash_attention_2", device, dtype), device
        ),
        "sentence-transformers": lambda: padded(_sentence_transformers(values, weights, device, dtype), device),
        "jnlp": lambda: packed(_inference(network, compiling=False), device),
        "jnlp, not recorded": lambda: packed(network.compute, device),
        COMPILED: lambda: packed(_inference(network, compiling=True), device),
    }
    asked = [part for part in only.split(",") if part]
    for label, make in makers.items():
        if asked and not any(part == label if part in makers else part in label for part in asked):
            continue
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
    padded_tokens = len(texts) * max(work.lengths)
    tried = [size for i, size in enumerate(sizes) if i == 0 or sizes[i - 1] < padded_tokens]
    found: dict[str, dict[str, Any]] = {}
    first: Vectors | None = None
    for label, runs in contenders.items():
        times: dict[int, float] = {}
        for size in tried:
            try:
                runs(texts, size)
                times[size] = timed(partial(runs, texts, size))
            except torch.OutOfMemoryError:
                torch.cuda.empty_cache()
            except JnlpError as error:
                print(f"- {work.name}: left out: {label}: {error.message}")
                break
        if not times:
            continue
        batch = min(times, key=lambda size: times[size])
        for _ in range(WARM if times[batch] < SLOW else 0):
            runs(texts, batch)
        vectors = runs(some, min(sizes))
        first = vectors if first is None else first
        if (cosine := least_cosine(vectors, first)) < 0.999:
            print(f"- {work.name}: left out: {label}: cosine {cosine:.4f}")
            continue
        found[label] = {"batch": batch, "seconds": []}
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


def _inference(network: Any, *, compiling: bool) -> Callable[[Any], torch.Tensor]:
    """Return an encoder as `jnlp` and `jnlp --compile` run it; the first runs wait for the compiler."""
    from jnlp.encoder.forms.cpu_torch import accelerate

    if not next(network.parameters()).is_cuda:  # the forms for a CPU have a benchmark of their own
        return network.compute  # type: ignore[no-any-return]
    accelerate(network, lambda _, made: made(), compiling=compiling)
    form: Callable[[Any], torch.Tensor] = network.inference or network.compute
    return form


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
    with device:
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
