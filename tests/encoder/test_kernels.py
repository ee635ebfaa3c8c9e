"""The compiled attention kernel against the plain reference; skipped where it cannot be built or run."""

from __future__ import annotations

import stat

import pytest
import torch
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jnlp.encoder import kernels
from jnlp.encoder.attention import blocked, choose, reference
from jnlp.errors import JnlpError

needs_kernel = pytest.mark.skipif(
    not kernels.runnable() or kernels.compiler() is None,
    reason="needs a processor with AVX-512 bf16 and a C++ compiler",
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Build into a cache of this module's own, and forget it afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        kernels.load.cache_clear()
        yield kernels.build()
    kernels.load.cache_clear()


@pytest.fixture
def compiled(cache, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parents[2]))
    kernels.load.cache_clear()
    yield kernels.load()
    kernels.load.cache_clear()


def check(attend, lengths: tuple[int, ...], window: int | None, heads: int, scale: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(sum(lengths) + heads)
    qkv = (torch.randn(sum(lengths), 3, heads, 64, generator=generator) * scale).bfloat16()
    cu_seqlens = torch.tensor([0, *torch.tensor(lengths).cumsum(0)], dtype=torch.int32)
    found = attend(*qkv.unbind(1), cu_seqlens, lengths, window).float()
    expected = reference(*qkv.float().unbind(1), cu_seqlens, lengths, window)
    assert found.isfinite().all()
    assert (found - expected).norm() <= 4e-3 * expected.norm()  # bf16 has 8 bits


@needs_kernel
@pytest.mark.parametrize("window", [None, 64, 8, 1, 0])
@pytest.mark.parametrize(
    "lengths",
    [
        (1,),
        (2, 1, 3),
        (15, 16, 17),
        (47, 48, 49),
        (63, 64, 65, 66),
        (127, 128, 129, 130),
        (513,),
        (300, 1, 64),
        (2049,),
    ],
    ids=str,
)
def test_the_kernel_equals_the_reference(compiled, lengths, window) -> None:
    for heads in (1, 4, 6):
        check(compiled, lengths, window, heads)


@needs_kernel
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(1, 200), min_size=1, max_size=12).map(tuple),
    window=st.one_of(st.none(), st.integers(0, 130)),
    heads=st.integers(1, 3),
    scale=st.sampled_from([0.01, 1.0, 8.0]),
)
def test_the_kernel_equals_the_reference_on_anything(compiled, lengths, window, heads, scale) -> None:
    check(compiled, lengths, window, heads, scale)


@needs_kernel
def test_rows_that_are_not_alike_are_read_right(compiled) -> None:
    q, k, v = (torch.randn(40, 2, 64).bfloat16() for _ in range(3))
    apart = k.transpose(0, 1).contiguous().transpose(0, 1)
    cu_seqlens = torch.tensor([0, 40], dtype=torch.int32)
    assert torch.equal(compiled(q, apart, v, cu_seqlens, (40,), None), compiled(q, k, v, cu_seqlens, (40,), None))


@needs_kernel
def test_a_sequence_does_not_depend_on_what_stands_beside_it(compiled) -> None:
    qkv = torch.randn(300, 3, 2, 64).bfloat16()
    both = compiled(*qkv.unbind(1), torch.tensor([0, 170, 300], dtype=torch.int32), (170, 130), 64)
    alone = compiled(*qkv[170:].unbind(1), torch.tensor([0, 130], dtype=torch.int32), (130,), 64)
    assert torch.equal(both[170:], alone)


@needs_kernel
def test_it_is_chosen_where_it_fits_and_nowhere_else(compiled) -> None:
    assert choose("cpu", torch.bfloat16, 64, False) is compiled
    assert choose("cpu", torch.bfloat16, 64, True) is blocked
    assert choose("cpu", torch.bfloat16, 32, False) is blocked
    assert choose("cpu", torch.float32, 64, False) is blocked


@needs_kernel
def test_vectors_of_a_whole_model_agree(compiled, tmp_path) -> None:
    from jnlp.encoder.load import load_embedder
    from jnlp.encoder.runtime import Runtime
    from jnlp.testing import SENTENCES, make_model

    folder = make_model(tmp_path / "model", hidden=128, heads=2, layers=4)
    embedder = load_embedder(folder, runtime=Runtime(dtype="bf16"))
    texts = [*SENTENCES, "。".join(SENTENCES)]
    fast = torch.from_numpy(embedder.embed(texts).vectors)
    embedder._encoder.attend = blocked
    plain = torch.from_numpy(embedder.embed(texts).vectors)
    assert torch.nn.functional.cosine_similarity(fast, plain).min() > 0.999


@needs_kernel
def test_doctor_builds_it_once(tmp_path, monkeypatch) -> None:
    from jnlp.cli import build_cli

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kernels.load.cache_clear()
    before = CliRunner().invoke(build_cli(), ["doctor"])
    assert "not built" in before.stdout
    result = CliRunner().invoke(build_cli(), ["doctor", "--build-kernels"])
    assert result.exit_code == 0, result.output
    (made,) = (tmp_path / "jnlp" / "kernels").iterdir()
    assert str(made) in result.stdout
    assert kernels.build() == made
    kernels.load.cache_clear()


@needs_kernel
def test_a_compiler_that_fails_is_one_line(tmp_path, monkeypatch) -> None:
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\necho 'attention.cpp:1: error: no such thing' >&2; exit 1\n")
    broken.chmod(broken.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", str(broken))
    with pytest.raises(JnlpError, match=r"could not build the attention kernel: .*: error: no such thing"):
        kernels.build()
    assert kernels.load() is None


def test_without_a_compiler_the_hint_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(kernels, "runnable", lambda: True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(JnlpError, match=r"there is no C\+\+ compiler"):
        kernels.build()


def test_on_another_processor_attention_stays_plain(monkeypatch) -> None:
    monkeypatch.setattr(kernels, "runnable", lambda: False)
    kernels.load.cache_clear()
    assert choose("cpu", torch.bfloat16, 64, False) is blocked
    with pytest.raises(JnlpError, match="no AVX-512 bf16"):
        kernels.build()
    kernels.load.cache_clear()
