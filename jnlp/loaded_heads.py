"""The models of an engine: heads loaded once and shared by all calls."""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING, Any

from jnlp.types import Head, Overflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from jnlp.encoder.runtime import Runtime
    from jnlp.engine import Engine
    from jnlp.types import Classifier, Embedder, MaskedLM, Pooling

DEFAULT_MODEL, DEFAULT_EMBEDDER = "tiny", "tiny-search"
"""The models that ship with jnlp: they are used when no model is named."""


class LoadedHeads:
    """Loads heads once each, by resolved folder, kind, device and dtype; safe to ask from several threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._cache: dict[tuple[object, ...], Any] = {}
        self._lock = threading.Lock()

    def get(self, head: Head, model: str, /, **changes: Any) -> Any:
        """Return a head of a model; `changes` are fields of its spec."""
        with self._lock:
            key = (head, model, *sorted(changes.items()))
            if key not in self._cache:
                with self.engine.usage.loads():
                    from jnlp.encoder import load as loaders  # a second of torch is part of loading

                    found, runtime = self.engine.resolve(model), self._runtime()
                    changed = dataclasses.replace(found, spec=dataclasses.replace(found.spec, **changes))
                    self._cache[key] = loaders.load_head(head, changed, runtime=runtime)
                self.engine.usage.models[model] = found.spec
                self.engine.usage.ran = loaders.describe_run(found, runtime)
            return self._cache[key]

    def _runtime(self) -> Runtime:
        from jnlp.encoder.runtime import Runtime

        settings = self.engine.settings
        return Runtime(
            device=settings.device,
            dtype=settings.dtype,
            threads=settings.threads,
            batch_tokens=settings.batch_tokens,
            compile=settings.compile,
            overflow=Overflow(settings.on_overflow),
            normalize=self._normalizer(),
            count=self.engine.usage.count,
            usage=self.engine.usage,
            converted=self.engine.converted,
        )

    def _normalizer(self) -> Callable[[str], Any] | None:
        name = self.engine.settings.normalize
        return None if name == "identity" else self.engine.normalizer(name)


class BoundModels:
    """The models of one call: those a task asks for by name, else the call's own, else the one that ships."""

    def __init__(self, heads: LoadedHeads, name: str | None) -> None:
        self._heads = heads
        self._name = name

    def embedder(self, model: str | None = None, /, *, pooling: Pooling | None = None) -> Embedder:
        """Return a model's embedder; `pooling` overrides the model's own."""
        changes = {} if pooling is None else {"pooling": pooling}
        embedder: Embedder = self._heads.get(Head.EMBEDDING, model or self._name or DEFAULT_EMBEDDER, **changes)
        return embedder

    def masked_lm(self, model: str | None = None, /) -> MaskedLM:
        """Return a model's masked-LM head."""
        head: MaskedLM = self._heads.get(Head.MASKED_LM, model or self._name or DEFAULT_MODEL)
        return head

    def classifier(self, model: str | None = None, /) -> Classifier:
        """Return a model's classifier."""
        head: Classifier = self._heads.get(Head.CLASSIFIER, model or self._name or DEFAULT_MODEL)
        return head
