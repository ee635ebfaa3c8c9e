"""An example plugin: a reader of subtitles (.srt), a record for each."""

from collections.abc import Iterator

import jnlp


def read_srt(source, options) -> Iterator[jnlp.Record]:  # noqa: ANN001
    """Yield each subtitle with its times as columns; the encoding is detected as for every file of text."""
    from jnlp.io.reading.decoded import whole

    decoded = whole(source, options)
    for block in decoded.text.replace("\r\n", "\n").split("\n\n"):
        number, _, rest = block.strip().partition("\n")
        times, _, text = rest.partition("\n")
        if "-->" in times and text.strip():
            start, _, end = (part.strip() for part in times.partition("-->"))
            place = jnlp.Source(source.name, None, decoded.encoding)
            yield jnlp.Record(f"{source.name}:{number}", text, {"start": start, "end": end}, place)


@jnlp.hookimpl
def register_readers(register):  # noqa: ANN001, ANN201
    """Bring the reader."""
    register("srt", "jnlp_srt:read_srt", summary="Subtitles, a record each.", extensions=(".srt",))
