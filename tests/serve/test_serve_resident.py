"""Commands that a running service answers over its Unix socket, and what they do where it does not."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import jnlp
from jnlp.errors import JnlpError, UsageError
from jnlp.executors import services
from jnlp.executors.pipes import receive, send
from jnlp.executors.resident import ResidentExecutor
from jnlp.testing import make_model
from jnlp_serve.app import create_app
from jnlp_serve.options import ServeOptions
from jnlp_serve.resident import Resident

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jnlp_serve.service import Service

pytestmark = pytest.mark.skipif(not hasattr(os, "getuid"), reason="this system has no Unix sockets of users")


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty runtime folder; its path is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="jnlp-", dir="/tmp"))
    monkeypatch.delenv(services.SWITCH)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def service(app: Any, runtime: Path) -> Iterator[Service]:
    """The loaded service, listening."""
    with Resident(app.state.service, "http://127.0.0.1:1", lambda: None):
        yield app.state.service


def settings() -> dict[str, Any]:
    """The settings of the service."""
    return services.settings_of(jnlp.load(device="cpu").settings)


def is_served(job: jnlp.Job) -> bool:
    """Whether the service does a job."""
    served = services.served(job)
    if served is None:
        return False
    with served:
        return True


# --- the folder ----------------------------------------------------------------------------------------------------


def test_the_socket_is_for_its_user_alone(runtime: Path, service: Service) -> None:
    [path] = services.sockets()
    assert path == runtime / "jnlp" / f"{os.getpid()}.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_enter_is_not_used(runtime: Path) -> None:
    (runtime / "jnlp").mkdir(mode=0o700)
    assert services.folder() == runtime / "jnlp"
    (runtime / "jnlp").chmod(0o750)
    assert services.folder() is None
    assert services.sockets() == []


def test_a_link_in_place_of_the_folder_is_not_used(runtime: Path, tmp_path: Path) -> None:
    (runtime / "jnlp").symlink_to(tmp_path)
    assert services.folder() is None


def test_without_a_runtime_folder_it_lies_among_the_temporary_files(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("TMPDIR", str(runtime))
    assert services.folder() == runtime / f"jnlp-{os.getuid()}"


def test_the_switch_turns_it_off(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(services.SWITCH, "off")
    assert services.sockets() == []
    with Resident(service, "", lambda: None):
        assert services.folder() is None


def test_a_dead_socket_is_passed_over_and_removed(runtime: Path, app: Any) -> None:
    place = services.folder()
    assert place is not None
    dead = place / "1.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dead))
    assert list(services.connections()) == []
    with Resident(app.state.service, "", lambda: None):
        assert services.sockets() == [place / f"{os.getpid()}.sock"]


# --- answers -------------------------------------------------------------------------------------------------------

TEXTS = {
    "fill-mask": ["今日は<mask>です。", "猫が<mask>を食べた。"],
    "embed": ["吾輩は猫である。"],
    "toxicity": ["消えろ、クズ。", "ありがとう。"],
    "classify": ["消えろ、クズ。"],
    "pii": ["電話は03-1234-5678です。"],
}


@pytest.mark.parametrize("task", TEXTS)
def test_the_service_does_a_task_as_the_library_does(task: str, engine: jnlp.Engine, service: Service) -> None:
    model = "tiny-toxicity" if task == "classify" else None
    job = engine.job(task, model=model)
    served = services.served(job)
    assert served is not None
    with served:
        assert repr(served(TEXTS[task])) == repr(list(engine.run(task, TEXTS[task], model=model)))


def test_options_and_enumerations_arrive(engine: jnlp.Engine, service: Service) -> None:
    served = services.served(engine.job("fill-mask", top=2))
    assert served is not None
    with served:
        assert len(served(["今日は<mask>です。"])[0].fills) == 2


def test_another_model_is_not_served(engine: jnlp.Engine, service: Service, tmp_path: Path) -> None:
    other = make_model(tmp_path / "m", layers=1, hidden=32)
    assert not is_served(engine.job("fill-mask", model=str(other)))
    assert is_served(engine.job("fill-mask", model="tiny"))


@pytest.mark.parametrize("changes", [{"dtype": "int8"}, {"on_overflow": "error"}, {"normalize": "nfkc"}])
def test_other_settings_are_not_served(changes: dict[str, Any], engine: jnlp.Engine, service: Service) -> None:
    assert not is_served(engine.with_settings(changes).job("fill-mask"))


def test_settings_that_change_no_result_do_not_matter(engine: jnlp.Engine, service: Service) -> None:
    assert is_served(engine.with_settings({"threads": 1, "hints": False}).job("fill-mask"))


def test_an_option_that_names_a_file_is_not_sent(engine: jnlp.Engine, service: Service, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("ほげほげ\n", encoding="utf-8")
    assert is_served(engine.job("toxicity"))
    assert not is_served(engine.job("toxicity", words=(words,)))


def test_another_build_is_not_served(service: Service) -> None:
    question = {"task": "pii", "texts": [], "options": {}, "settings": settings(), "model": None}
    for build, served in ((services.BUILD, True), (("0.0.1", services.BUILD[1]), False)):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(services.sockets()[0]))
            with client.makefile("rwb") as stream:
                send(stream, (build, "task", question), threading.Lock())
                assert receive(stream)[0] is served


def test_a_service_that_stops_serves_nothing(engine: jnlp.Engine, service: Service) -> None:
    service.stopping = True
    try:
        assert not is_served(engine.job("fill-mask"))
    finally:
        service.stopping = False


def test_a_model_folder_that_changed_is_not_served(tmp_path: Path, runtime: Path, engine: jnlp.Engine) -> None:
    model = make_model(tmp_path / "m", layers=1, hidden=32)
    app = create_app(engine, {}, ServeOptions(tasks=("fill-mask",)), models={"fill-mask": str(model)}, load=False)
    app.state.service.load()
    with Resident(app.state.service, "", lambda: None):
        job = engine.job("fill-mask", model=str(model))
        assert is_served(job)
        assert not is_served(engine.job("embed"))  # not among its tasks
        make_model(tmp_path / "new", layers=1, hidden=32, seed=5)
        shutil.copy(tmp_path / "new" / "model.safetensors", model / "model.safetensors")
        assert not is_served(job)
    app.state.service.close()


def test_a_bad_text_fails_alone(engine: jnlp.Engine, service: Service) -> None:
    through = engine.with_settings({"executor": "resident"})
    done, failed = through.outcomes("fill-mask", ["今日は<mask>です。", "空。"])
    assert type(done).__name__ == "Done"
    assert "mask" in str(failed.error)


def test_a_service_that_ends_is_replaced_by_this_process(engine: jnlp.Engine, runtime: Path, app: Any) -> None:
    calls: list[str] = []

    def prepare(job: Any) -> Any:
        calls.append("here")
        return engine.prepare(job)

    def records() -> Iterator[jnlp.Record]:
        yield jnlp.Record("1", "今日は<mask>です。")
        while not ended.is_set():  # the first chunk is answered there
            time.sleep(0.01)
        yield jnlp.Record("2", "明日は<mask>です。")

    ended = threading.Event()
    job = engine.job("fill-mask", top=1)
    with Resident(app.state.service, "", lambda: None):
        outcomes = ResidentExecutor(prepare).map(job, records())
        served = services.served(job)
        assert served is not None
    app.state.service.stopping = True
    try:
        ended.set()
        assert [type(outcome).__name__ for outcome in outcomes] == ["Done", "Done"]
        with served, pytest.raises(services.NotServedError):
            served(["今日は<mask>です。"])
    finally:
        app.state.service.stopping = False
    assert calls == ["here"]


# --- search --------------------------------------------------------------------------------------------------------


def asked(folder: Path, query: str, **options: Any) -> Any:
    return services.ask(
        "search", folders=[str(folder.resolve())], query=query, options=options, settings=settings(), model=None
    )


def test_the_service_searches_as_the_library_does(engine: jnlp.Engine, service: Service, folder: Path) -> None:
    hits, outdated = asked(folder / "a.idx", "休暇は何日か", top=3, where='kind = "md"')
    with engine.open_index(folder / "a.idx") as index:
        assert hits == index.search("休暇は何日か", top=3, where='kind = "md"')
    assert hits
    assert not outdated


def test_another_index_is_not_searched(service: Service, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(services.NotServedError):
        asked(tmp_path, "休暇")


def test_an_error_of_a_query_comes_from_the_service(service: Service, folder: Path) -> None:
    with pytest.raises(JnlpError, match="empty"):
        asked(folder / "a.idx", "  ")
    with pytest.raises(UsageError):
        asked(folder / "a.idx", "休暇", where="kind =")


def test_nonsense_on_the_socket_harms_nobody(service: Service, engine: jnlp.Engine) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(services.sockets()[0]))
        client.sendall(b"GET / HTTP/1.1\r\n\r\n" * 4)
    assert is_served(engine.job("fill-mask"))


# --- the command ---------------------------------------------------------------------------------------------------

PROBE = """
import atexit, os, sys
sys.argv[0] = "jnlp"
names = ("torch", "transformers", "faiss", "sudachipy")
from jnlp.cli.app import build_cli
try:
    build_cli()(prog_name="jnlp")
except SystemExit as leaving:
    code = leaving.code
print("LOADED", *[name for name in names if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


def jnlp_command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, cwd=cwd)


@pytest.fixture
def place(folder: Path, tmp_path: Path) -> Path:
    """A copy of the folder of documents and its index, to change."""
    return Path(shutil.copytree(folder, tmp_path / "place"))


@pytest.fixture
def background(place: Path, runtime: Path) -> Iterator[list[str]]:
    """A service in the background; the lines that its start printed."""
    started = jnlp_command(
        "serve", "--background", "--index", "a.idx", "--port", "0", "--idle", "600", "--device", "cpu", cwd=place
    )
    assert started.returncode == 0, started.stderr
    yield started.stderr.splitlines()
    jnlp_command("serve", "--stop", cwd=place)


@pytest.mark.slow
def test_a_service_in_the_background_answers_commands(
    background: list[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "in the background, process" in background[0]
    assert "after 10 minutes without a request" in background[0]
    commands = (
        ("search", "--index", "a.idx", "休暇は何日か", "--device", "cpu"),
        ("search", "docs/../a.idx", "旅費 -休暇", "--device", "cpu"),
        ("fill-mask", "今日は<mask>です。", "--device", "cpu"),
        ("toxicity", "消えろ、クズ。", "--device", "cpu"),
    )
    there = [jnlp_command(*command, cwd=place) for command in commands]
    for done in there:
        assert done.returncode == 0, done.stderr
        assert done.stderr.splitlines()[-1].strip() == "LOADED", "the command loaded a model's libraries"
    monkeypatch.setenv(services.SWITCH, "off")
    for command, done in zip(commands, there, strict=True):
        assert done.stdout == jnlp_command(*command, cwd=place).stdout
    monkeypatch.delenv(services.SWITCH)
    (place / "memo.txt").write_text("猫の写真を整理した。\n", encoding="utf-8")
    indexed = jnlp_command("index", "memo.txt", "--index", "a.idx", "--device", "cpu", cwd=place)
    assert indexed.returncode == 0, indexed.stderr
    found = jnlp_command("search", "a.idx", "猫の写真", "--device", "cpu", cwd=place)
    assert "memo.txt" in {json.loads(line)["document"] for line in found.stdout.splitlines()}
    stopped = jnlp_command("serve", "--stop", cwd=place)
    assert stopped.returncode == 0, stopped.stderr
    assert "has ended" in stopped.stderr
    again = jnlp_command("serve", "--stop", cwd=place)
    assert again.returncode == 1
    assert "no service runs in the background" in again.stderr


@pytest.mark.slow
def test_a_service_leaves_when_it_is_idle(folder: Path, runtime: Path) -> None:
    started = jnlp_command(
        "serve", "--background", "--tasks", "pii", "--port", "0", "--idle", "1.5", "--device", "cpu", cwd=folder
    )
    assert started.returncode == 0, started.stderr
    end = time.monotonic() + 60
    while services.sockets() and time.monotonic() < end:
        time.sleep(0.1)
    assert services.sockets() == []


@pytest.mark.slow
def test_a_start_that_fails_says_why(folder: Path, runtime: Path) -> None:
    failed = jnlp_command(
        "serve", "--background", "--model", "classify=no-such-model", "--port", "0", "--device", "cpu", cwd=folder
    )
    assert failed.returncode == 1, failed.stderr
    assert "no-such-model" in failed.stderr


def test_an_idle_service_is_one_process(folder: Path, runtime: Path) -> None:
    failed = jnlp_command("serve", "--background", "--workers", "2", "--port", "0", cwd=folder)
    assert failed.returncode == 2
    assert "is one process" in failed.stderr
