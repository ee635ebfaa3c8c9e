"""Readers, from any input to records, and writers, from rows to files. Both stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp.lazy import attributes

if TYPE_CHECKING:
    from jnlp.io.reading.inputs import Input, PassedOver
    from jnlp.io.reading.options import ReadOptions, Unit
    from jnlp.io.reading.readers import Loaders, Reader, documents, read
    from jnlp.io.writing.output import Output
    from jnlp.io.writing.rejects import reason, reject_line
    from jnlp.io.writing.sinks import OutputEncoding, Position, Row, Sink, Target, WriterFactory
    from jnlp.io.writing.writers import WriterLoaders, format_of, open_writer

__all__ = [
    "Input",
    "Loaders",
    "Output",
    "OutputEncoding",
    "PassedOver",
    "Position",
    "ReadOptions",
    "Reader",
    "Row",
    "Sink",
    "Target",
    "Unit",
    "WriterFactory",
    "WriterLoaders",
    "documents",
    "format_of",
    "open_writer",
    "read",
    "reason",
    "reject_line",
]

if not TYPE_CHECKING:  # for a type checker it would have every name
    __getattr__ = attributes(
        __name__,
        {
            "jnlp.io.reading.inputs": ("Input", "PassedOver"),
            "jnlp.io.reading.options": ("ReadOptions", "Unit"),
            "jnlp.io.reading.readers": ("Loaders", "Reader", "documents", "read"),
            "jnlp.io.writing.output": ("Output",),
            "jnlp.io.writing.rejects": ("reason", "reject_line"),
            "jnlp.io.writing.sinks": ("OutputEncoding", "Position", "Row", "Sink", "Target", "WriterFactory"),
            "jnlp.io.writing.writers": ("WriterLoaders", "format_of", "open_writer"),
        },
    )
