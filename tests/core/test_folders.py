"""The user's folders are those of the platform."""

from __future__ import annotations

import platformdirs
import pytest

from jnlp.folders import cache_folder, config_folder


@pytest.mark.parametrize("given", [None, "", "/somewhere/else", "relative"])
def test_the_folders_are_those_of_platformdirs(given: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("CONFIG", "CACHE"):
        monkeypatch.delenv(f"XDG_{kind}_HOME", raising=False)
        if given is not None:
            monkeypatch.setenv(f"XDG_{kind}_HOME", given)
    assert config_folder() == platformdirs.user_config_path("jnlp", appauthor=False)
    assert cache_folder() == platformdirs.user_cache_path("jnlp", appauthor=False)
