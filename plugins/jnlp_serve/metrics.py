"""Prometheus metrics: requests, latency, queue, batches, tokens. Each service has its own registry."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jnlp_serve.service import Service

LATENCY = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
"""Upper bounds of the latency histogram in seconds."""

BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Upper bounds of the histogram of texts in a batch."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

FRONT = frozenset({"jnlp_requests", "jnlp_request_seconds", "jnlp_requests_running", "jnlp_refused"})
"""What the front of replicas counts; they count the rest."""

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus-client finds the folder of counts that several processes share."""


class Metrics:
    """The metrics of a service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "jnlp_requests",
            "Requests by route, method and status.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.latency = Histogram(
            "jnlp_request_seconds",
            "Seconds of a request, by route.",
            ["route"],
            buckets=LATENCY,
            registry=self.registry,
        )
        self.batches = Histogram(
            "jnlp_batch_texts", "Texts in a batch, by task.", ["task"], buckets=BATCH, registry=self.registry
        )
        self.compute = Counter(
            "jnlp_batch_seconds", "Seconds of computing batches, by task.", ["task"], registry=self.registry
        )
        self.refused = Counter("jnlp_refused", "Requests refused by a limit.", ["reason"], registry=self.registry)
        self.running = Gauge(
            "jnlp_requests_running",
            "Requests in work or waiting.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )

    def watch(self, service: Service, /) -> None:
        """Report the queue and the tokens of a service too."""
        self.registry.register(_Live(service))

    def batch(self, task: str, texts: int, seconds: float, /) -> None:
        """Count one batch."""
        self.batches.labels(task).observe(texts)
        self.compute.labels(task).inc(seconds)

    def render(self) -> bytes:
        """Return the metrics in Prometheus's text format; of several processes, those of all."""
        if SHARED not in os.environ:
            return generate_latest(self.registry)
        from prometheus_client.multiprocess import MultiProcessCollector

        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)


class _Live:
    """What is read when it is asked for."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        usage = self._service.engine.usage
        yield GaugeMetricFamily("jnlp_queue_texts", "Texts that wait for a batch.", self._service.batcher.waiting)
        yield GaugeMetricFamily("jnlp_ready", "1 when the models are loaded.", float(self._service.ready))
        yield CounterMetricFamily("jnlp_tokens", "Tokens read by the encoder.", usage.tokens)
        yield CounterMetricFamily("jnlp_encoder_batches", "Batches of the encoder.", usage.batches)
        yield CounterMetricFamily("jnlp_texts_windowed", "Texts read in windows.", usage.windowed)
        yield CounterMetricFamily("jnlp_characters_cut", "Characters left out of long texts.", usage.cut)


def merged(own: Metrics, others: Mapping[str, bytes], /) -> bytes:
    """Return metrics, and what other processes count besides, with the label `replica`.

    Args:
        own: Those of this process.
        others: What the others rendered, by their names.
    """
    ours = [family for family in own.registry.collect() if family.name in FRONT]
    theirs: dict[str, Metric] = {}
    for replica, text in sorted(others.items()):
        for found in text_string_to_metric_families(text.decode()):
            if found.name in FRONT or found.name.endswith("_created"):
                continue
            family = theirs.setdefault(found.name, Metric(found.name, found.documentation, found.type))
            for sample in found.samples:
                family.add_sample(sample.name, {**sample.labels, "replica": replica}, sample.value)
    return generate_latest(_Given([*ours, *theirs.values()]))


class _Given:
    """Families of metrics as a registry gives them."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)
