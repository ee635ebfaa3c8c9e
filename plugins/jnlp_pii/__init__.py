"""Finds personal data in Japanese text by rules with checks; masks it, or replaces it by labels and restores it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.hookspecs import hookimpl

if TYPE_CHECKING:
    from jnlp.hookspecs import Register

jnlp_api = 1


@hookimpl
def register_tasks(register: Register) -> None:
    """Register `jnlp pii`."""
    register("pii", "jnlp_pii.spec:PII", summary="Find, mask or pseudonymise personal data; restore it.")
