"""The peers, each in its usual form: length-sorted batches, padded to their longest text, an attention mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.benchmarks.contenders import THREADS
from tests.benchmarks.export import INT8, ONNX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.benchmarks.serve import Runs

    Forward = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]

PAD = 3


def batched(forward: Forward, /) -> Runs:
    """Return a contender from a function of padded ids and their mask, both `[B, L]`, that gives vectors `[B, d]`."""

    def runs(texts: Sequence[NDArray[np.int64]], batch: int, /) -> NDArray[np.float32]:
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        rows: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(texts)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            ids = np.full((len(chosen), len(texts[chosen[0]])), PAD, dtype=np.int64)
            mask = np.zeros_like(ids)
            for row, i in enumerate(chosen):
                ids[row, : len(texts[i])] = texts[i]
                mask[row, : len(texts[i])] = 1
            for i, vector in zip(chosen, forward(ids, mask), strict=True):
                rows[i] = vector
        return np.stack(rows)

    return runs


def transformers(precision: str, folder: Path) -> Runs:
    """transformers' AutoModel with sdpa, and a mean."""
    import torch
    from transformers import AutoModel

    torch.set_num_threads(THREADS)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    model = AutoModel.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").eval()

    @torch.inference_mode()
    def forward(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        kept = torch.from_numpy(mask)
        states = model(input_ids=torch.from_numpy(ids), attention_mask=kept).last_hidden_state.float()
        vectors: NDArray[np.float32] = ((states * kept[..., None]).sum(1) / kept.sum(1, keepdim=True)).numpy()
        return vectors

    return batched(forward)


def sentence_transformers(precision: str, folder: Path) -> Runs:
    """sentence-transformers' modules (Transformer and mean Pooling), from ids on."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(THREADS)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": dtype})

    @torch.inference_mode()
    def forward(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        features = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        vectors: NDArray[np.float32] = model(features)["sentence_embedding"].float().numpy()
        return vectors

    return batched(forward)


def onnxruntime(precision: str, folder: Path) -> Runs:
    """ONNX Runtime on the exported graph, or on its dynamically quantised form."""
    import onnxruntime as ort

    options: Any = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    name = INT8 if precision == "int8" else ONNX
    session = ort.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])

    def forward(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        (states,) = session.run(None, {"input_ids": ids, "attention_mask": mask})
        return mean(states, mask)

    return batched(forward)


def openvino(precision: str, folder: Path) -> Runs:
    """OpenVINO on the exported graph."""
    import openvino as ov

    hints = {
        "INFERENCE_NUM_THREADS": THREADS,
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
        "PERFORMANCE_HINT": "LATENCY",
    }
    network = ov.Core().compile_model(str(folder / ONNX), "CPU", hints)

    def forward(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        return mean(network([ids, mask])[0], mask)

    return batched(forward)


def mean(states: NDArray[np.float32], mask: NDArray[np.int64], /) -> NDArray[np.float32]:
    """Return the mean of the states `[B, L, d]` of real tokens."""
    summed = np.einsum("bld,bl->bd", states, mask.astype(np.float32))
    vectors: NDArray[np.float32] = (summed / mask.sum(1, keepdims=True)).astype(np.float32)
    return vectors


LOADERS: dict[str, Callable[[str, Path], Runs]] = {
    "transformers": transformers,
    "sentence-transformers": sentence_transformers,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
}
