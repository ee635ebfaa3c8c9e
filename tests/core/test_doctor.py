"""`jnlp doctor` knows what the package can be installed with."""

from __future__ import annotations

import tomllib

from jnlp.doctor import EXTRAS


def test_every_extra_is_looked_for(root):
    extras = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(extras) - {"all", "dev", "flash"}
    whole = extras["all"][0].removeprefix("jnlp[").removesuffix("]").split(",")
    assert set(whole) == set(EXTRAS)
