"""Every attention implementation against the plain one, forward and backward."""

import inspect
import sys
import types

import pytest
import torch

from jnlp.encoder import groups
from jnlp.encoder.attention import attention, blocked, choose, flash, flash_runs, reference, varlen
from jnlp.encoder.forms import kernels

LENGTHS = [
    (1,),
    (1, 1, 1),
    (2, 1, 3),
    (63, 64, 65, 66),
    (127, 128, 129, 130),
    (5, 5, 5, 200, 200, 7),
    (513,),
    (300, 1, 64),
]


def _inputs(lengths, dtype=torch.float32, device="cpu", heads=2, dim=16):
    generator = torch.Generator().manual_seed(sum(lengths))
    qkv = torch.randn(3, sum(lengths), heads, dim, generator=generator).to(device, dtype)
    q, k, v = (x.clone().requires_grad_() for x in qkv)
    cu_seqlens = torch.tensor([0, *torch.tensor(lengths).cumsum(0)], dtype=torch.int32, device=device)
    return q, k, v, cu_seqlens


def _run(implementation, lengths, window, **kind):
    q, k, v, cu_seqlens = _inputs(lengths, **kind)
    out = implementation(q, k, v, cu_seqlens, lengths, window)
    weights = torch.sin(torch.arange(out.numel(), device=out.device)).view_as(out)
    (out.float() * weights).sum().backward()
    return [out.detach(), q.grad, k.grad, v.grad]


@pytest.mark.parametrize("window", [None, 64, 8, 1])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_blocked_equals_reference(lengths, window):
    for got, want in zip(_run(blocked, lengths, window), _run(reference, lengths, window), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("window", [None, 4])
def test_reference_is_softmax_over_what_is_reached(window):
    lengths = (6, 3)
    q, k, v, cu_seqlens = _inputs(lengths, heads=1, dim=4)
    out = reference(q, k, v, cu_seqlens, lengths, window)
    for i in range(9):
        low, high = (0, 6) if i < 6 else (6, 9)
        reached = [j for j in range(low, high) if window is None or abs(i - j) <= window]
        weights = torch.stack([q[i, 0] @ k[j, 0] / 2 for j in reached]).softmax(0)
        expected = sum(w * v[j, 0] for w, j in zip(weights, reached, strict=True))
        torch.testing.assert_close(out[i, 0], expected)


def test_a_token_beyond_the_window_changes_nothing():
    q, k, v, cu_seqlens = _inputs((200,))
    before = blocked(q, k, v, cu_seqlens, (200,), 64)
    with torch.no_grad():
        k[165] += 100.0
        v[165] += 100.0
    changed = (blocked(q, k, v, cu_seqlens, (200,), 64) != before).flatten(1).any(1).nonzero().flatten().tolist()
    assert changed == list(range(101, 200)), "|i - 165| <= 64"


def test_lengths_met_in_inference_mode_first_can_still_be_trained_on():
    lengths = (17, 71)
    with torch.inference_mode():
        q, k, v, cu_seqlens = _inputs(lengths)
        attention(q, k, v, cu_seqlens, lengths, 33)
    assert torch.isfinite(_run(attention, lengths, 33)[1]).all()


def test_choice_by_device_and_dtype(monkeypatch):
    monkeypatch.setattr(kernels, "load", lambda: None)
    assert choose("cpu", torch.float32, 64, False) is blocked
    assert choose("cpu", torch.bfloat16, 64, True) is blocked
    assert choose("cuda", torch.float32, 64, False) is blocked


@pytest.mark.parametrize(
    ("capability", "head_dim", "chosen"),
    [((8, 0), 64, (varlen, flash)), ((9, 0), 256, (varlen, flash)), ((7, 5), 64, (blocked,)), ((9, 0), 12, (blocked,))],
)
def test_choice_on_a_gpu(monkeypatch, capability, head_dim, chosen):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda gpu: capability if gpu == 1 else (8, 0))
    flash_runs.cache_clear()
    assert choose(torch.device("cuda:1"), torch.bfloat16, head_dim, False) in chosen
    flash_runs.cache_clear()


def test_scores_of_long_sequences_of_one_length_are_never_all_explicit(monkeypatch):
    written: list[int] = []

    def noted(q, k, v, mask):
        written.append(q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2])
        return original(q, k, v, mask)

    original = groups._explicit
    monkeypatch.setattr(groups, "_explicit", noted)
    monkeypatch.setattr(groups, "SCORES", 1 << 16)
    lengths = (300,) * 4
    q, k, v, cu_seqlens = (x.bfloat16() if x.is_floating_point() else x for x in _inputs(lengths))
    with torch.inference_mode():
        found = blocked(q, k, v, cu_seqlens, lengths, None)
    monkeypatch.undo()
    assert max(written) <= 1 << 16
    wanted = reference(q.float(), k.float(), v.float(), cu_seqlens, lengths, None)
    torch.testing.assert_close(found.float(), wanted, rtol=5e-2, atol=5e-2)


def _flash_attn_varlen_func(
    q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, dropout_p=0.0, softmax_scale=None, causal=False,
    window_size=(-1, -1),
):  # fmt: skip
    """What flash-attn's function of this name computes, as far as it is used here."""
    assert (dropout_p, softmax_scale, causal) == (0.0, None, False)
    assert cu_seqlens_q.dtype == cu_seqlens_k.dtype == torch.int32
    lengths = tuple(cu_seqlens_q.diff().tolist())
    assert torch.equal(cu_seqlens_q, cu_seqlens_k)
    assert max_seqlen_q == max_seqlen_k == max(lengths)
    left, right = window_size
    assert left == right
    return reference(q, k, v, cu_seqlens_q, lengths, None if left == -1 else left)


@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("kernel", [varlen, flash])
def test_the_kernels_of_a_gpu_are_called_as_their_libraries_say(monkeypatch, kernel, window):
    """On any machine: the calls alone; what they answer is tested where there is a GPU."""
    import torch.nn.attention.varlen as library

    taken = inspect.signature(library.varlen_attn)

    def varlen_attn(*arguments, **named):
        given = taken.bind(*arguments, **named).arguments
        assert len(given) == 8 + named.pop("num_splits", 0), "of seven tensors and sizes, the window, one split"
        return _flash_attn_varlen_func(*arguments, **named)

    monkeypatch.setattr(library, "varlen_attn", varlen_attn)
    package = types.SimpleNamespace(flash_attn_varlen_func=_flash_attn_varlen_func)
    monkeypatch.setitem(sys.modules, "flash_attn", package)
    lengths = (5, 1, 12)
    q, k, v, cu_seqlens = _inputs(lengths)
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients):
            found = kernel(q, k, v, cu_seqlens, lengths, window)
        torch.testing.assert_close(found, reference(q, k, v, cu_seqlens, lengths, window))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("window", [None, 64])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_cuda_equals_reference(lengths, window):
    chosen = _run(
        choose("cuda", torch.bfloat16, 64, True), lengths, window, dtype=torch.bfloat16, device="cuda", dim=64
    )
    wanted = _run(reference, lengths, window, device="cuda", dim=64)
    for got, want in zip(chosen, wanted, strict=True):
        torch.testing.assert_close(got.float(), want, rtol=5e-2, atol=5e-2)
