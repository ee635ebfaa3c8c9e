"""The compiled kernels against the plain path; skipped where they cannot be built or run."""

from __future__ import annotations

import shutil
import stat
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jnlp.encoder import groups
from jnlp.encoder.attention import blocked, choose, reference
from jnlp.encoder.forms import kernels
from jnlp.encoder.forms.kernels import check as trying
from jnlp.encoder.forms.kernels import compile as compiling
from jnlp.encoder.forms.kernels import processors
from jnlp.encoder.forms.kernels.binding import Binding
from jnlp.encoder.forms.kernels.compile import compile_library
from jnlp.encoder.forms.kernels.library import Kernels
from jnlp.encoder.packing import pack
from jnlp.encoder.rotation import RotationTable
from jnlp.errors import JnlpError, UsageError

KINDS = kernels.kinds()
needs_kernels = pytest.mark.skipif(
    not KINDS or kernels.compiler() is None, reason="needs a processor with AVX2 or NEON, and a C++ compiler"
)
AVX2 = next(kind for kind in kernels.KINDS if kind.name == "avx2")
LENGTHS = [
    (1,),
    (2,),
    (15, 16, 17),
    (47, 48, 49),
    (63, 64, 65),
    (127, 128, 129),
    (511, 512, 513),
    (300, 1, 64, 2, 1, 3),
    (767, 768, 769, 832, 833),
]
ERRORS = {torch.float32: 3e-6, torch.bfloat16: 4e-3}
"""The relative error allowed, from the mantissa of each: 24 and 8 bits."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Build into a cache of this module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        kernels.status.cache_clear()
        yield kernels.build()
    kernels.status.cache_clear()


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def compiled(request, tmp_path_factory):
    """The kernels for each kind of processor that this one can run."""
    path = tmp_path_factory.mktemp("kernels") / "kernels.so"
    compile_library(kernels.compiler(), request.param.flags, path)
    return Kernels(Binding(path, request.param))


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def dtype(request, compiled):
    if not compiled.handles(request.param, 64):
        pytest.skip("this kind of processor has no bf16")
    return request.param


@pytest.fixture
def chosen(compiled, monkeypatch):
    """The kernels, in use."""
    monkeypatch.setattr(kernels, "load", lambda: compiled)
    return compiled


@pytest.fixture
def unknown(monkeypatch, tmp_path):
    """No kernels are built and none known of; returns where they would be."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(compiling, "BUILT", tmp_path / "none")
    kernels.status.cache_clear()
    yield tmp_path / "cache" / "jnlp" / "kernels"
    kernels.status.cache_clear()


def qkv_of(lengths, heads, dtype, scale=1.0):
    generator = torch.Generator().manual_seed(sum(lengths) + heads)
    qkv = (torch.randn(sum(lengths), 3, heads, 64, generator=generator) * scale).to(dtype)
    return qkv, torch.tensor([0, *torch.tensor(lengths).cumsum(0)], dtype=torch.int32)


def error(found, expected):
    assert found.isfinite().all()
    return ((found.float() - expected).norm() / expected.norm()).item()


def check(compiled, lengths, window, heads, dtype, scale=1.0, expect=reference):
    """Both entries: turned already, and turned by the kernel."""
    allowed = ERRORS[dtype] * (2 if max(lengths) > 4096 else 1)  # longer sums
    qkv, cu_seqlens = qkv_of(lengths, heads, dtype, scale)
    found = compiled.attention(*qkv.unbind(1), cu_seqlens, lengths, window)
    expected = expect(*qkv.float().unbind(1), cu_seqlens, lengths, window)
    assert error(found, expected) <= allowed
    packed, rotation = pack([range(n) for n in lengths]), RotationTable.of(160000.0, 64, max(lengths))
    found = compiled.attention_qkv(qkv, rotation.cos, rotation.sin, cu_seqlens, lengths, window)
    # the kernel rounds turned queries and keys to bf16 once more: the same here; in fp32 both round as they turn, each
    # in its own way, and large scores amplify that
    q, k = rotation.turn(qkv[:, :2].float(), packed.positions).to(dtype).float()
    expected = groups.attend(q, k, qkv[:, 2].float().transpose(0, 1), lengths, window).flatten(1)
    amplified = 1 if dtype is torch.bfloat16 else 3 if scale <= 1 else 6
    assert error(found, expected) <= allowed * amplified


@needs_kernels
@pytest.mark.parametrize("window", [None, 64, 128, 8, 1, 0])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_attention_equals_the_plain_path(compiled, dtype, lengths, window):
    for heads in (1, 4, 12) if sum(lengths) < 2000 else (2,):
        check(compiled, lengths, window, heads, dtype)


@needs_kernels
@pytest.mark.parametrize(("window", "heads"), [(None, 1), (64, 4), (128, 4)])
def test_attention_equals_the_plain_path_at_8192(compiled, dtype, window, heads):
    check(compiled, (8192,), window, heads, dtype, expect=blocked)


@needs_kernels
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(1, 200), min_size=1, max_size=12).map(tuple),
    window=st.one_of(st.none(), st.integers(0, 130)),
    heads=st.integers(1, 3),
    scale=st.sampled_from([0.01, 1.0, 8.0]),
)
def test_attention_equals_the_plain_path_on_anything(compiled, dtype, lengths, window, heads, scale):
    check(compiled, lengths, window, heads, dtype, scale)


@needs_kernels
def test_scores_far_apart_stay_finite(compiled, dtype):
    qkv, cu_seqlens = qkv_of((200,), 1, dtype, scale=100.0)
    qkv[7, 0] = 3e4
    assert compiled.attention(*qkv.unbind(1), cu_seqlens, (200,), 64).isfinite().all()


@needs_kernels
def test_rows_that_are_not_alike_are_read_right(compiled, dtype):
    q, k, v = (torch.randn(40, 2, 64).to(dtype) for _ in range(3))
    apart = k.transpose(0, 1).contiguous().transpose(0, 1)
    cu_seqlens = torch.tensor([0, 40], dtype=torch.int32)
    found = compiled.attention(q, apart, v, cu_seqlens, (40,), None)
    assert torch.equal(found, compiled.attention(q, k, v, cu_seqlens, (40,), None))


@needs_kernels
def test_a_projection_that_is_not_dense_is_read_right(compiled, dtype):
    qkv, cu_seqlens = qkv_of((40,), 2, dtype)
    rotation = RotationTable.of(10000.0, 64, 40)
    apart = qkv.transpose(1, 2).contiguous().transpose(1, 2)
    run = compiled.attention_qkv
    found = run(apart, rotation.cos, rotation.sin, cu_seqlens, (40,), 8)
    assert torch.equal(found, run(qkv, rotation.cos, rotation.sin, cu_seqlens, (40,), 8))


@needs_kernels
def test_angles_of_too_few_positions_are_refused(compiled, dtype):
    qkv, cu_seqlens = qkv_of((600,), 1, dtype)
    rotation = RotationTable.of(10000.0, 64, 512)
    with pytest.raises(ValueError, match="512 positions for a sequence of 600"):
        compiled.attention_qkv(qkv, rotation.cos, rotation.sin, cu_seqlens, (600,), None)


@needs_kernels
@pytest.mark.parametrize("window", [None, 64])
def test_a_sequence_does_not_depend_on_what_stands_beside_it(compiled, dtype, window):
    qkv, _ = qkv_of((300,), 2, dtype)
    both = compiled.attention(*qkv.unbind(1), torch.tensor([0, 170, 300], dtype=torch.int32), (170, 130), window)
    alone = compiled.attention(*qkv[170:].unbind(1), torch.tensor([0, 130], dtype=torch.int32), (130,), window)
    assert torch.equal(both[170:], alone)


@needs_kernels
def test_attention_is_the_same_on_one_thread_and_on_three(compiled, dtype):
    qkv, cu_seqlens = qkv_of((1700, 40), 2, dtype)
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(compiled.attention(*qkv.unbind(1), cu_seqlens, (1700, 40), None))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)


@needs_kernels
def test_they_are_chosen_where_they_fit_and_nowhere_else(chosen, dtype):
    assert choose("cpu", dtype, 64, False) == chosen.attention
    assert choose("cpu", dtype, 64, True) is blocked
    assert choose("cpu", dtype, 32, False) is blocked
    assert choose("cpu", torch.float16, 64, False) is blocked


@needs_kernels
@pytest.mark.parametrize("name", ["fp32", "bf16"])
def test_vectors_of_a_whole_model_agree(chosen, tmp_path, name, monkeypatch):
    from jnlp.encoder.load import load_embedder
    from jnlp.encoder.runtime import Runtime
    from jnlp.testing import SENTENCES, make_model

    if name not in chosen.binding.attention:
        pytest.skip("this kind of processor has no bf16")
    folder = make_model(tmp_path / "model", hidden=128, heads=2, layers=4)
    texts = [*SENTENCES, "。".join(SENTENCES)]
    fast = load_embedder(folder, runtime=Runtime(dtype=name)).embed(texts).vectors
    monkeypatch.setattr(kernels, "load", lambda: None)
    plain = load_embedder(folder, runtime=Runtime(dtype=name)).embed(texts).vectors
    cosines = torch.nn.functional.cosine_similarity(torch.from_numpy(fast), torch.from_numpy(plain))
    assert cosines.min() > (0.999 if name == "bf16" else 0.999999)


@needs_kernels
def test_doctor_builds_them_and_again_when_asked(unknown):
    from jnlp.cli import build_cli

    assert (
        "plain torch: none are built  → jnlp doctor --build-kernels" in CliRunner().invoke(build_cli(), "doctor").stdout
    )
    result = CliRunner().invoke(build_cli(), ["doctor", "--build-kernels"])
    assert result.exit_code == 0, result.output
    (made,) = unknown.iterdir()
    assert result.stdout == f"{made}\n"
    built = made.stat().st_mtime_ns
    assert kernels.build() == made
    assert made.stat().st_mtime_ns > built  # another compiler may have come
    after = CliRunner().invoke(build_cli(), "doctor").stdout
    assert f"compiled for {KINDS[0].title}: " in after
    assert "fp32" in after
    assert str(made) in after


@needs_kernels
def test_kernels_that_compute_something_else_are_named(cache, monkeypatch, capsys):
    called = [KINDS[0].name, str(cache)]
    assert trying.main(called) == 0
    monkeypatch.setitem(trying.LEAST, "fp32", 1.01)
    assert trying.main(called) == 1
    assert capsys.readouterr().out.startswith("in fp32 a state has a cosine of 1.0000 to plain torch's")
    assert kernels._on_trial is None


@needs_kernels
@pytest.mark.parametrize("trouble", ["import sys; print('in fp32 it is wrong'); sys.exit(1)", "import os; os.abort()"])
def test_kernels_that_fail_their_trial_are_not_kept_and_good_ones_stay(unknown, cache, monkeypatch, tmp_path, trouble):
    unknown.mkdir(parents=True)
    shutil.copy(cache, unknown / cache.name)
    before = (unknown / cache.name).stat().st_mtime_ns
    python = script(tmp_path / "python", f'#!/bin/sh\nexec {sys.executable} -c "{trouble}"\n')
    monkeypatch.setattr(sys, "executable", python)
    said = "by signal 6" if "abort" in trouble else "in fp32 it is wrong"
    with pytest.raises(JnlpError, match=f"built does not work: .*{said}"):
        kernels.build()
    assert [path.name for path in unknown.iterdir()] == [cache.name]
    assert (unknown / cache.name).stat().st_mtime_ns == before
    assert kernels.load() is not None


def test_a_cache_that_cannot_be_read_leaves_plain_torch(unknown, monkeypatch):
    def denied(*_: object) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(kernels, "kinds", lambda: (AVX2,))
    monkeypatch.setattr(Path, "is_file", denied)
    assert kernels.load() is None
    assert "cannot be read: Permission denied" in kernels.status().text


def test_the_compiler_is_that_of_the_environment_with_its_arguments(unknown, monkeypatch, tmp_path):
    monkeypatch.setattr(kernels, "kinds", lambda: (AVX2,))
    ccache = script(tmp_path / "ccache", "#!/bin/sh\nexit 0\n")
    monkeypatch.setenv("CXX", f"{ccache} g++")
    assert kernels.compiler() == [ccache, "g++"]
    monkeypatch.setenv("CXX", "gxx-17")
    with pytest.raises(JnlpError, match="CXX is set to gxx-17, which does not exist"):
        kernels.build()
    assert kernels.status().text == "plain torch: none are built"


@needs_kernels
def test_a_compiler_that_makes_no_library_is_told_of(unknown, monkeypatch, tmp_path):
    script = tmp_path / "cxx"
    script.write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\necho nothing > "$2"\n', encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("CXX", str(script))
    with pytest.raises(JnlpError, match=r"cxx built does not work: it does not load"):
        kernels.build()
    assert not list(unknown.iterdir())


@needs_kernels
def test_gradients_are_refused(compiled):
    q = torch.zeros(3, 1, 64, requires_grad=True)
    with pytest.raises(ValueError, match="no gradients"):
        compiled.attention(q, q, q, torch.tensor([0, 3], dtype=torch.int32), (3,), None)


@needs_kernels
def test_a_library_that_is_broken_is_passed_over_and_built_again(unknown, cache):
    path = kernels.library_path(KINDS[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no library")
    assert kernels.load() is None
    assert "does not load" in kernels.status().text
    assert kernels.build() == path
    assert kernels.load() is not None


@needs_kernels
def test_kernels_of_another_version_are_passed_over(unknown):
    unknown.mkdir(parents=True)
    (unknown / "kernels-avx2-0123456789abcdef.so").write_bytes(b"")
    assert kernels.load() is None
    assert kernels.status().text == "plain torch: those built are for another version of jnlp"
    assert kernels.status().hint == "jnlp doctor --build-kernels"


@needs_kernels
def test_a_processor_without_the_newer_instructions_uses_what_it_can(unknown, monkeypatch):
    monkeypatch.setattr(processors, "processor_flags", lambda: AVX2.needs)
    kernels.forget()
    if not KINDS[-1].needs >= AVX2.needs:
        pytest.skip("needs a processor with AVX2")
    made = kernels.build()
    assert made.name.startswith("kernels-avx2-")
    found = kernels.load()
    assert found is not None
    assert found.handles(torch.float32, 64)
    assert not found.handles(torch.bfloat16, 64)
    assert choose("cpu", torch.bfloat16, 64, False) is blocked
    assert kernels.status().text.startswith("compiled for AVX2: fp32, int8: ")


@needs_kernels
def test_the_variable_turns_them_off_or_names_a_kind(unknown, cache, monkeypatch):
    unknown.mkdir(parents=True)
    shutil.copy(cache, unknown / cache.name)
    assert kernels.load() is not None
    monkeypatch.setenv("JNLP_KERNELS", "off")
    kernels.forget()
    assert kernels.load() is None
    assert kernels.status().text == "plain torch: the kernels are turned off by JNLP_KERNELS"
    with pytest.raises(JnlpError, match="turned off by JNLP_KERNELS"):
        kernels.build()
    monkeypatch.setenv("JNLP_KERNELS", KINDS[0].name)
    kernels.forget()
    assert kernels.load() is not None
    monkeypatch.setenv("JNLP_KERNELS", "mmx")
    kernels.forget()
    with pytest.raises(UsageError, match="JNLP_KERNELS=mmx cannot be used on this processor"):
        kernels.load()


@needs_kernels
def test_they_are_built_in_the_background_once(unknown, monkeypatch):
    kernels.build_in_background()
    assert not unknown.exists()  # JNLP_BUILD_KERNELS=off, in all tests
    monkeypatch.delenv("JNLP_BUILD_KERNELS")
    kernels.build_in_background()
    kernels.build_in_background()  # the second sees that the first has begun
    path = kernels.library_path(KINDS[0])
    for _ in range(2400):
        if path.is_file():
            break
        time.sleep(0.1)
    kernels.forget()
    assert kernels.load() is not None
    assert sorted(each.suffix for each in unknown.iterdir()) == [".so", ".started"]


def script(path, text):
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return str(path)


def test_a_compiler_that_fails_is_one_line(unknown, tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "kinds", lambda: (AVX2,))
    said = "In file included\nattention.h:1: error: no such thing\nmore"
    monkeypatch.setenv("CXX", script(tmp_path / "c++", f"#!/bin/sh\necho '{said}' >&2; exit 1\n"))
    with pytest.raises(
        JnlpError, match=r"c\+\+ could not build the kernels: attention.h:1: error: no such thing \(set CXX"
    ):
        kernels.build()
    assert list(unknown.iterdir()) == []
    assert kernels.load() is None


def test_a_compiler_that_says_nothing_is_one_line(unknown, tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "kinds", lambda: (AVX2,))
    monkeypatch.setenv("CXX", script(tmp_path / "c++", "#!/bin/sh\nexit 3\n"))
    with pytest.raises(JnlpError, match=r"could not build the kernels: exit status 3 \(set CXX"):
        kernels.build()


def test_without_a_compiler_the_line_says_what_to_install(unknown, tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "kinds", lambda: (AVX2,))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(JnlpError, match=r"there is no C\+\+ compiler") as caught:
        kernels.build()
    assert "install g++" in (caught.value.hint or "")
    assert "install g++" in (kernels.status().hint or "")


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "kinds", lambda: (AVX2,))
    monkeypatch.setattr(kernels, "compiler", lambda: ["c++"])
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(compiling, "BUILT", tmp_path / "none")
    kernels.status.cache_clear()
    with pytest.raises(JnlpError, match="could not be written"):
        kernels.build()
    kernels.status.cache_clear()


def test_on_another_processor_attention_stays_plain(unknown, monkeypatch):
    from jnlp.cli import build_cli

    monkeypatch.setattr(kernels, "kinds", lambda: ())
    assert choose("cpu", torch.bfloat16, 64, False) is blocked
    with pytest.raises(JnlpError, match="neither AVX2 nor NEON"):
        kernels.build()
    result = CliRunner().invoke(build_cli(), "doctor")
    assert "  kernels                plain torch: this processor has neither AVX2 nor NEON" in result.stdout


@pytest.mark.slow
def test_every_kind_of_this_architecture_compiles(tmp_path):
    command = kernels.compiler()
    if command is None:
        pytest.skip("needs a C++ compiler")
    for kind in kernels.KINDS:
        if kind.machine == processors.machine() and kind not in KINDS:
            compile_library(command, kind.flags, tmp_path / kind.name)
            assert (tmp_path / kind.name).stat().st_size > 10_000
