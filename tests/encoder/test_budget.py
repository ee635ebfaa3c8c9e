"""The tokens of a batch, from the caches that a machine says it has."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from jnlp.encoder import budget
from jnlp.encoder.budget import BLOCKS_TOKENS, CPU_TOKENS, cache_bytes, cpu_budget, token_bytes
from jnlp.encoder.forms import cpu_torch as inference
from jnlp.encoder.forms.cpu_kernels import SteppedForward
from jnlp.encoder.load import load_masked_lm
from jnlp.encoder.runtime import Runtime
from jnlp.testing import make_model

LAPTOP = (("1", "Data", "32K", "0"), ("2", "Unified", "1024K", "0"), ("3", "Unified", "8M", "0-7"))
SERVER = (("2", "Unified", "2M", "0"), ("3", "Unified", "256M", "0-31"))


@pytest.fixture(autouse=True)
def unmeasured():
    yield
    cache_bytes.cache_clear()


def caches(folder: Path, kinds: tuple[tuple[str, str, str, str], ...]) -> Path:
    for number, kind in enumerate(kinds):
        index = folder / f"index{number}"
        index.mkdir(parents=True)
        for name, text in zip(("level", "type", "size", "shared_cpu_list"), kind, strict=True):
            (index / name).write_text(text + "\n", encoding="ascii")
    return folder


@pytest.mark.parametrize(
    ("kinds", "threads", "size"),
    [
        (LAPTOP, 1, (1 << 20) + (1 << 20)),  # its second level, and an eighth of the third
        (LAPTOP, 8, (8 << 20) + (8 << 20)),
        (SERVER, 64, (64 * 2 << 20) + (2 * 256 << 20)),  # two third levels
        ((), 2, 32 << 20),  # nothing is known
    ],
)
def test_caches_that_so_many_threads_can_count_on(tmp_path: Path, kinds, threads: int, size: int) -> None:
    assert cache_bytes(threads, caches(tmp_path / "cache", kinds)) == size


def test_a_budget_is_what_fits_within_bounds(tmp_path: Path) -> None:
    folder = caches(tmp_path / "cache", LAPTOP)
    assert cpu_budget(token_bytes(256, 1024, 2), 2, folder=folder) == CPU_TOKENS[0]
    assert cpu_budget(token_bytes(256, 1024, 2), 8, folder=folder) == 1792  # 16 MiB by 9,216 bytes, in steps of 256
    assert cpu_budget(16, 8, folder=folder) == CPU_TOKENS[1]
    assert cpu_budget(16, 8, bounds=BLOCKS_TOKENS, folder=folder) == BLOCKS_TOKENS[1]


def test_layers_that_run_in_blocks_have_room_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "cache_bytes", lambda *_: 64 << 20)
    runtime, cpu = Runtime(device="cpu", dtype="fp32"), "cpu"
    whole, blocks = (runtime.budget(cpu, hidden=512, intermediate=2048, blocks=blocks) for blocks in (False, True))
    assert (whole, blocks) == (1792, 5376)  # 36,864 and 12,288 bytes a token
    assert Runtime(device="cpu", batch_tokens=77).budget(cpu, blocks=True) == 77


@pytest.mark.parametrize("blocks", [False, True])
def test_a_loaded_model_says_if_its_layers_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: bool) -> None:
    steps = SimpleNamespace(blocks=blocks)
    monkeypatch.setattr(inference, "compile_steps", lambda encoder, *_: SteppedForward(encoder, steps))
    monkeypatch.setattr(budget, "cache_bytes", lambda *_: 64 << 20)
    folder = make_model(tmp_path / "model", hidden=512, heads=8, layers=1, intermediate_size=2048)
    model = load_masked_lm(folder, runtime=Runtime(device="cpu", dtype="fp32"))
    assert model._reader.runner.budget == (5376 if blocks else 1792)
