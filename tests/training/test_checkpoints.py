"""A checkpoint comes back to the bit, and a damaged one is one line that names the file."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
import torch

from jnlp.errors import JnlpError
from jnlp.training.checkpoints import NAME, loaded, save

if TYPE_CHECKING:
    from pathlib import Path

STATE = {"weight": torch.arange(400.0), "step": 5, "order": {"state": 2**100}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save(tmp_path / "run" / NAME, STATE)
    return tmp_path / "run" / NAME


def read(path: Path) -> dict[str, Any]:
    with loaded(path) as state:
        assert state["weight"].shape == (400,)
        return {"weight": state["weight"], "step": int(state["step"]), "order": state["order"]}


def test_a_whole_one_is_read(path: Path) -> None:
    found = read(path)
    torch.testing.assert_close(found.pop("weight"), STATE["weight"], rtol=0, atol=0)
    assert found == {"step": 5, "order": {"state": 2**100}}


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99])
def test_one_that_is_cut_off(path: Path, kept: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept if kept >= 1 else kept * len(whole))])
    with pytest.raises(JnlpError, match=NAME):
        read(path)


@pytest.mark.parametrize(
    "saved", [[], {}, {"weight": 1}, {"weight": {}}, "文", None], ids=lambda value: str(value)[:20]
)
def test_one_of_something_else(path: Path, saved: object) -> None:
    torch.save(saved, path)
    with pytest.raises(JnlpError, match="cannot be read"):
        read(path)


def test_one_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(JnlpError, match=NAME):
        read(tmp_path / NAME)


def test_a_flipped_byte_is_found_or_changes_nothing(path: Path) -> None:
    """Bytes of tensors are under a checksum; those between the parts of the archive say nothing."""
    whole = path.read_bytes()
    expected = read(path)
    rng = random.Random(0)
    said: list[str] = []
    for _ in range(200):
        at = rng.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :])
        try:
            state = read(path)
        except JnlpError as error:
            said.append(str(error))
        else:
            torch.testing.assert_close(state["weight"], expected["weight"], rtol=0, atol=0)
            assert (state["step"], state["order"]) == (expected["step"], expected["order"])
    assert len(said) > 60
    assert all(NAME in line and "\n" not in line for line in said)
