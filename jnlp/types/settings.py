"""The settings that every task shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from jnlp.types.options import Option
from jnlp.types.specs import Overflow


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of every task. Each field is a flag, a config key and a `JNLP_<FIELD>` variable.

    Example:
        >>> settings = jnlp.Settings(device="cpu", threads=2)
        >>> settings.dtype, settings.on_overflow is jnlp.Overflow.WINDOW
        ('auto', True)
    """

    model: Annotated[
        str | None, Option(help="Model: a name of `jnlp models`, a folder, or a hub id.", metavar="MODEL")
    ] = None
    device: Annotated[str, Option(help="Where the model runs: auto, cpu, cuda, cuda:1 …", metavar="DEVICE")] = "auto"
    dtype: Annotated[
        str,
        Option(
            help="Number format of the weights; auto: bf16 if the processor has it; int8 is faster, less exact.",
            choices=("auto", "fp32", "bf16", "int8"),
        ),
    ] = "auto"
    threads: Annotated[
        int | None,
        Option(help="Threads of torch, the tokenizer and FAISS; auto: the available cores.", ge=1, none="auto"),
    ] = None
    workers: Annotated[int, Option(help="Number of processes; they share records, threads and weights.", ge=1)] = 1
    batch_tokens: Annotated[
        int | None,
        Option(help="Tokens in one batch; auto: as many as fit the caches, or the GPU's memory.", ge=1, none="auto"),
    ] = None
    compile: Annotated[bool, Option(help="Compile the model's layers for the GPU first; worth it for long jobs.")] = (
        False
    )
    on_overflow: Annotated[
        Overflow, Option(help="A text longer than the model is read in windows, cut (and counted), or refused.")
    ] = Overflow.WINDOW
    normalize: Annotated[
        str, Option(help="Normaliser before the model's own; offsets refer to the original text.", metavar="NAME")
    ] = "identity"
    executor: Annotated[
        str, Option(help="Where records are processed: local, processes, or a plugin's executor.", metavar="NAME")
    ] = "local"
    ray_address: Annotated[
        str | None,
        Option(
            help="The Ray cluster of --executor ray; auto: RAY_ADDRESS, a running one, else one of this machine.",
            metavar="ADDR",
            none="auto",
        ),
    ] = None
    hints: Annotated[bool, Option(help="Say on stderr which built-in model answered.", hidden=True)] = True
