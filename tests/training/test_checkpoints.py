"""A damaged checkpoint is one line that names the file."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from jnlp.errors import JnlpError
from jnlp.training.checkpoints import NAME, load, save

if TYPE_CHECKING:
    from pathlib import Path


def objective() -> Any:
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 4)
    return SimpleNamespace(model=model, state=lambda: {"row": 3}, load_state=lambda state: state["row"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = objective()
    save(tmp_path, made, [torch.optim.AdamW(made.model.parameters())], step=5, tokens=100, seconds=1.5)
    return tmp_path


def read(folder: Path) -> tuple[int, int, float]:
    made = objective()
    return load(folder, made, [torch.optim.AdamW(made.model.parameters())])


def test_a_whole_one_is_read(folder: Path) -> None:
    assert read(folder) == (5, 100, 1.5)


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99])
def test_one_that_is_cut_off(folder: Path, kept: float) -> None:
    whole = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(whole[: int(kept if kept >= 1 else kept * len(whole))])
    with pytest.raises(JnlpError, match=NAME):
        read(folder)


@pytest.mark.parametrize(
    "saved",
    [[], {}, {"model": 1}, {"model": {}}, {"model": {"weight": torch.zeros(2)}}, "文", None],
    ids=lambda value: str(value)[:20],
)
def test_one_of_something_else(folder: Path, saved: object) -> None:
    torch.save(saved, folder / NAME)
    with pytest.raises(JnlpError, match="cannot be read"):
        read(folder)


def test_one_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(JnlpError, match=NAME):
        read(tmp_path)


def test_flipped_bytes_end_in_one_line_or_a_reading(folder: Path) -> None:
    whole = (folder / NAME).read_bytes()
    rng = random.Random(0)
    for _ in range(60):
        at = rng.randrange(len(whole))
        (folder / NAME).write_bytes(whole[:at] + bytes([rng.randrange(256)]) + whole[at + 1 :])
        try:
            read(folder)
        except JnlpError as error:
            said = str(error)
        else:
            continue
        assert NAME in said
        assert "\n" not in said
