"""Load on `jnlp serve`, beside a FastAPI application over sentence-transformers with the same model.

    python -m tests.benchmarks.serving [--seconds 8] [--soak 600] [--clients 1,32] [--paths /embed] [--infinity PROGRAM]
                                       [--out FILE]

With `--infinity`, the program of an environment with `infinity-emb[server,torch]`, that server is measured too.

Clients are asyncio tasks in this process, each with one connection; one asks, waits for the answer, and asks again. On
status 429 it waits as long as `Retry-After` says.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLIENTS = (1, 8, 32, 128)
WORDS = (
    *("契約", "解約", "条件", "休暇", "日数", "給与", "支払い", "出張", "旅費", "申請", "期限"),
    *("書類", "会議", "予定", "天気", "東京", "大阪", "人口", "増加", "論文", "機械", "学習"),
)

PEER = """
import asyncio, sys
from concurrent.futures import ThreadPoolExecutor
import uvicorn
from fastapi import FastAPI
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(sys.argv[1], device="cpu")
app, one = FastAPI(), ThreadPoolExecutor(1)

@app.get("/health")
def health(): return {}

@app.post("/embed")
async def embed(body: dict):
    run = lambda: model.encode([body["inputs"]], normalize_embeddings=True).tolist()
    return await asyncio.get_running_loop().run_in_executor(one, run)

uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
"""


@dataclass
class Load:
    """The answers to one load: seconds of the accepted requests, and all statuses."""

    clients: int
    seconds: float
    times: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    cpu: float = 0.0

    def row(self) -> dict[str, Any]:
        """Return requests per second and percentiles in milliseconds."""
        times = sorted(self.times) or [0.0]
        at = {q: round(1000 * times[min(int(q / 100 * len(times)), len(times) - 1)], 1) for q in (50, 95, 99)}
        return {
            "clients": self.clients,
            "per_second": round(len(self.times) / self.seconds, 1),
            "cpu_ms": round(1000 * self.cpu / max(len(self.times), 1), 1),
            **{f"p{q}": value for q, value in at.items()},
            "statuses": {str(key): value for key, value in sorted(self.statuses.items())},
        }


def texts(count: int, seed: int = 0) -> list[str]:
    """Return texts of mixed lengths: most are short, some have a thousand characters and more."""
    draw = random.Random(seed)
    lengths = [min(int(draw.lognormvariate(4.2, 1.0)), 2000) + 5 for _ in range(count)]
    return ["".join(draw.choice(WORDS) + draw.choice("のはをが。、") for _ in range(n // 3 + 1))[:n] for n in lengths]


async def one_client(port: int, path: str, body: Callable[[], bytes], load: Load, end: float) -> None:
    """Ask until the end, over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < end:
        data = body()
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(data)}\r\n"
        start = time.perf_counter()
        writer.write(f"{head}Content-Type: application/json\r\n\r\n".encode() + data)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        await reader.readexactly(int(headers["content-length"]))
        status = int(lines[0].split()[1])
        load.statuses[status] += 1
        if status == 200:
            load.times.append(time.perf_counter() - start)
        elif status == 429:
            await asyncio.sleep(float(headers["retry-after"]))
    writer.close()


def run(pid: int, port: int, path: str, bodies: list[bytes], clients: int, seconds: float) -> Load:
    """Put a load of so many clients on a route of the server with this process id."""
    load, draw = Load(clients, seconds), random.Random(clients)

    async def all_clients() -> None:
        end = time.perf_counter() + seconds
        one = lambda: draw.choice(bodies)  # noqa: E731
        await asyncio.gather(*(one_client(port, path, one, load, end) for _ in range(clients)))

    before = cpu_seconds(pid)
    start = time.perf_counter()
    asyncio.run(all_clients())
    load.seconds, load.cpu = time.perf_counter() - start, cpu_seconds(pid) - before
    return load


@contextmanager
def served(command: list[str], port: int) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """Run a server; give the process, and the seconds from start to ready."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except URLError:
                assert process.poll() is None, "the server has ended"
                time.sleep(0.1)
        yield process, time.perf_counter() - start
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, which other programs on the machine disturb little."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """Return a process's resident memory in MB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def post(value: Any) -> bytes:
    """Return a body."""
    return json.dumps(value, ensure_ascii=False).encode()


def main() -> None:
    """Measure, and print rows as JSON."""
    import jnlp
    from jnlp.testing import make_model

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8, help="of each load")
    parser.add_argument("--soak", type=float, default=0, help="seconds of a soak at 32 clients")
    parser.add_argument("--clients", default=",".join(map(str, CLIENTS)), help="commas between")
    parser.add_argument("--paths", default="/embed,/search,/rerank", help="commas between")
    parser.add_argument("--infinity", help="the program infinity_emb")
    parser.add_argument("--out", type=Path, help="write the rows to a file")
    asked = parser.parse_args()
    numbers = [int(part) for part in asked.clients.split(",")]
    rows: list[dict[str, Any]] = []

    def note(**row: Any) -> None:
        rows.append(row)
        print(json.dumps(row, ensure_ascii=False), flush=True)
        if asked.out:
            asked.out.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")

    def load_peer(server: str, command: list[str], port: int, path: str, bodies: list[bytes]) -> None:
        """Put every load on one route of a peer."""
        with served(command, port) as (process, ready):
            note(server=server, ready=round(ready, 1), memory=round(resident(process.pid)))
            run(process.pid, port, path, bodies, 4, 2)
            for clients in numbers:
                load = run(process.pid, port, path, bodies, clients, asked.seconds)
                note(server=server, path=path, **load.row())
            note(server=server, memory=round(resident(process.pid)))

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine = jnlp.load(device="cpu")
        model = str(engine.resolve("tiny-search").folder)
        reranker = str(make_model(folder / "reranker", labels=["relevance"], layers=4, hidden=256, heads=4))
        with engine.index(folder / "bench.idx") as index:
            index.add([jnlp.Record(str(n), text) for n, text in enumerate(texts(2000, seed=1))])
        some = texts(400)
        embeds = [post({"inputs": text}) for text in some]
        searches = [post({"query": text[:20]}) for text in some]
        reranks = [post({"query": text[:20], "texts": some[n : n + 10]}) for n, text in enumerate(some[:300])]
        ours = [sys.executable, "-m", "jnlp", "serve", "--index", str(folder / "bench.idx")]
        ours += ["--model", f"rerank={reranker}", "--port"]

        with served([*ours, "8801", "--max-requests", "256"], 8801) as (process, ready):
            note(server="jnlp", ready=round(ready, 1), memory=round(resident(process.pid)))
            bodies = {"/embed": embeds, "/search": searches, "/rerank": reranks}
            for path in asked.paths.split(","):
                run(process.pid, 8801, path, bodies[path], 4, 2)
                for clients in numbers:
                    load = run(process.pid, 8801, path, bodies[path], clients, asked.seconds)
                    note(server="jnlp", path=path, **load.row())
            note(server="jnlp", memory=round(resident(process.pid)))
        load_peer("sentence-transformers", [sys.executable, "-c", PEER, model, "8802"], 8802, "/embed", embeds)
        if asked.infinity:
            command = [asked.infinity, "v2", "--model-id", model, "--engine", "torch", "--device", "cpu"]
            asking = [post({"model": Path(model).name, "input": [text]}) for text in some]
            command += ["--host", "127.0.0.1", "--port", "8804"]
            load_peer("infinity-emb", command, 8804, "/embeddings", asking)
        with served([*ours, "8803", "--max-requests", "32"], 8803) as (process, _):
            run(process.pid, 8803, "/embed", embeds, 4, 2)
            for what, clients in (("at capacity", 32), ("10 x capacity", 320), ("after", 32)):
                load = run(process.pid, 8803, "/embed", embeds, clients, asked.seconds)
                note(server="jnlp", what=what, **load.row())
            if asked.soak:
                before = resident(process.pid)
                load = run(process.pid, 8803, "/embed", embeds, 32, asked.soak)
                note(server="jnlp", what="soak", grown=round(resident(process.pid) - before, 1), **load.row())


if __name__ == "__main__":
    main()
