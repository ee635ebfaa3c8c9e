"""What all tests share: the slow tier, a clean environment, and the command line in this process."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest
from click.testing import CliRunner

ROOT = Path(__file__).resolve().parent.parent

# Threads that wait should sleep: on shared cores, spinning ones keep the others from finishing.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A developer's run looks for new cases; CI repeats the same ones, so that a push is judged by itself.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI") == "true":
    hypothesis.settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the slow tier too (always on when CI=true)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow") or os.environ.get("CI") == "true":
        return
    skip = pytest.mark.skip(reason="slow tier: make test-all, or CI=true")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No user's configuration, cache or network reaches a test."""
    for name in list(os.environ):
        if name.startswith("JNLP_") or name.endswith("_HUB_CACHE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("JNLP_RESIDENT", "off")  # a service that runs on this machine answers no test
    monkeypatch.setenv("JNLP_BUILD_KERNELS", "off")  # none is built beside a test; those of the package are used
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("JNLP_CONFIG", str(home / "config.toml"))
    monkeypatch.setenv("HF_HOME", str(home / "huggingface"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root."""
    return ROOT


@pytest.fixture(scope="session")
def kernel_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the compiled kernels; a test that asks for it is skipped where they cannot be built."""
    from jnlp.encoder.forms import kernels
    from jnlp.encoder.forms.kernels import compile as compiling

    if not (able := kernels.kinds()) or kernels.compiler() is None:
        pytest.skip("needs a processor with AVX2 or NEON, and a C++ compiler")
    folder = tmp_path_factory.mktemp("kernel-cache")
    name = compiling.library_name(able[0].name, able[0].flags)
    compiling.compile_library(kernels.compiler(), able[0].flags, folder / "jnlp" / "kernels" / name)
    return folder


@pytest.fixture(scope="session")
def shared(root: Path) -> Path:
    """The shared data beside the project; a test that asks for it is skipped where it is absent."""
    folder = root.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data is not beside the project")
    return folder


@pytest.fixture
def runner() -> CliRunner:
    """Runs the command line in this process, stdout and stderr apart."""
    return CliRunner()
