"""Runs in the peers' environment: a model folder's encoder to ONNX, and that to int8 (dynamic quantisation).

By torch's own exporter from transformers' model; ONNX Runtime and OpenVINO read the same graph.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

ONNX, INT8 = "model.onnx", "model-int8.onnx"


def export(folder: Path) -> None:
    """Write both graphs beside the weights; what is there already is kept."""
    if (folder / INT8).is_file():
        return
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()

    class States(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            states: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            return states

    ids, mask = torch.full((2, 300), 9), torch.ones(2, 300, dtype=torch.long)
    mask[1, 200:] = 0
    axes = {0: torch.export.Dim("batch", min=1, max=1024), 1: torch.export.Dim("length", min=2, max=8192)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            States(),
            (ids, mask),
            str(folder / ONNX),
            input_names=["input_ids", "attention_mask"],
            output_names=["states"],
            dynamic_shapes={"input_ids": axes, "attention_mask": axes},
            opset_version=20,
            dynamo=True,
            verbose=False,
        )
    quantize_dynamic(str(folder / ONNX), str(folder / INT8), weight_type=QuantType.QInt8)


if __name__ == "__main__":
    export(Path(sys.argv[1]))
