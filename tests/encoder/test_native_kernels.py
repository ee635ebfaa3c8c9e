"""The kernels against their definitions in a program of its own: on this processor, and for arm64 under an emulator."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from jnlp.encoder.forms import kernels
from jnlp.encoder.forms.kernels.processors import KINDS, machine

PROGRAM = Path(__file__).parent / "native" / "check_kernels.cpp"
INCLUDE = Path(kernels.__file__).parent
CROSS, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
ARM = [kind for kind in KINDS if kind.machine == "arm64"]


def compile_and_run(compiler: list[str], flags: tuple[str, ...], folder: Path, *emulator: str) -> str:
    made = folder / "check"
    common = ["-O2", "-std=c++17", "-pthread", f"-I{INCLUDE}", str(PROGRAM), "-o", str(made), "-ldl"]
    subprocess.run([*compiler, *flags, *common], check=True, capture_output=True)
    done = subprocess.run([*emulator, str(made)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", kernels.kinds(), ids=lambda kind: kind.name)
def test_kernels_equal_their_definitions(kind, tmp_path):
    compiler = kernels.compiler()
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    said = compile_and_run(compiler, kind.flags, tmp_path)
    assert "step in int8" in said


@pytest.mark.slow
@pytest.mark.parametrize("kind", ARM, ids=lambda kind: kind.name)
def test_kernels_for_arm64_equal_their_definitions(kind, tmp_path):
    if machine() == "arm64":
        pytest.skip("this processor runs them itself")
    if shutil.which(CROSS) is None or shutil.which(EMULATOR) is None:
        pytest.skip(f"needs {CROSS} and {EMULATOR}")
    said = compile_and_run([CROSS], (*kind.flags, "-static"), tmp_path, EMULATOR, "-cpu", "max")
    assert ("attention in bf16" in said) == (kind.name == "neonbf16")
