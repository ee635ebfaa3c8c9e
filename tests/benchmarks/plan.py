"""What an index of many passages takes, reckoned from what was measured: `python -m tests.benchmarks.plan`.

The measured numbers are those of docs/benchmarks.md, with the place they are from; the others are assumptions that the
options change. Nothing of this size has been built.
"""

from __future__ import annotations

import argparse

TOKENS_A_SECOND = (
    27_577 / 2
)  # of a core: 30m, mixed lengths, int8 with the kernels, two cores (the table of throughput)
WRITTEN_A_SECOND = 100_000 / 24  # passages: the build of 100,000 × 512 in 24 s of one core, without the model
VECTOR_BYTES = 571  # of a passage on disk, and of its codes in memory, at 1,000,000 × 256
CODE_BYTES = 73
HOT_BYTES = 535  # of mapped vectors a passage, resident after the queries
TEXT_SHARE = 2.82  # the index, as a multiple of its text
TEXT_BYTES = 6.0  # of UTF-8 a token: about two characters


def plan(passages: int, tokens: int, nodes: int, cores: int, writers: int, price: float, /) -> list[str]:
    """Return the rows of a table.

    Args:
        passages: How many.
        tokens: Of a passage.
        nodes: Machines that embed.
        cores: Of each.
        writers: Indexes that are written at once, one process each.
        price: Of a core for an hour.
    """
    core_hours = passages * tokens / TOKENS_A_SECOND / 3600
    embedding = core_hours / (nodes * cores)
    writing = passages / WRITTEN_A_SECOND / writers / 3600
    text, vectors = passages * tokens * TEXT_BYTES, passages * VECTOR_BYTES
    hours = max(embedding, writing)
    paid = price * hours * nodes * cores
    return [
        f"| {passages:,} passages of {tokens} tokens | |",
        "|---|---|",
        f"| text | {text / 1e12:.2f} TB |",
        f"| index on disk | {text * TEXT_SHARE / 1e12:.2f} TB, of which vectors {vectors / 1e12:.2f} TB |",
        f"| codes in memory, all machines together | {passages * CODE_BYTES / 1e9:,.0f} GB |",
        f"| vectors that queries keep in the page cache | {passages * HOT_BYTES / 1e9:,.0f} GB |",
        f"| embedding | {core_hours:,.0f} core hours: {embedding:.1f} h on {nodes:,} nodes of {cores} cores |",
        f"| writing | {writing:.1f} h by {writers:,} writers |",
        f"| the slower of the two decides | {hours:.1f} h |",
        f"| at {price} a core hour | {paid:,.0f}, of which embedding {price * core_hours:,.0f} |",
    ]


def main() -> None:
    """Print the plan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=1_000_000_000)
    parser.add_argument("--tokens", type=int, default=200, help="tokens of a passage")
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--cores", type=int, default=16, help="cores of a node")
    parser.add_argument("--writers", type=int, default=100, help="indexes that are written at once")
    parser.add_argument("--price", type=float, default=0.04, help="of a core for an hour")
    given = parser.parse_args()
    print("\n".join(plan(given.passages, given.tokens, given.nodes, given.cores, given.writers, given.price)))


if __name__ == "__main__":
    main()
