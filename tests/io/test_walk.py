"""Folders: patterns, ignore files, hidden files, links, text by its name, and names in composed form."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from jnlp.errors import UsageError
from jnlp.io import PassedOver, ReadOptions, documents
from jnlp.io.reading.names import path_on_disk
from jnlp.io.reading.walk import OUTSIDE
from jnlp.types import Record


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def write(*names, text="文。\n"):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")


def found(*paths, passed_over=None, **options):
    got = list(documents(paths or ["docs"], ReadOptions(**options), passed_over=passed_over))
    assert all(isinstance(record, Record) for record in got), got
    return [record.source.path.removeprefix("docs/") for record in got]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["a.md", "b.txt", "規程/c.md", "規程/旧/d.md"]),
        ({"include": ("*.md",)}, ["a.md", "規程/c.md", "規程/旧/d.md"]),
        ({"include": ("/*.md",)}, ["a.md"]),
        ({"include": ("規程/**",)}, ["規程/c.md", "規程/旧/d.md"]),
        ({"include": ("規程/",)}, ["規程/c.md", "規程/旧/d.md"]),
        ({"include": ("docs/規程/*.md",)}, ["規程/c.md"]),
        ({"include": ("*.md", "!d.md")}, ["a.md", "規程/c.md"]),
        ({"exclude": ("旧",)}, ["a.md", "b.txt", "規程/c.md"]),
        ({"exclude": ("docs/規程/",)}, ["a.md", "b.txt"]),
        ({"exclude": ("*.md",)}, ["b.txt"]),
        ({"include": ("*.md",), "exclude": ("c.*",)}, ["a.md", "規程/旧/d.md"]),
        ({"include": ("*.pdf",)}, []),
    ],
)
def test_patterns(options, names):
    write("docs/a.md", "docs/b.txt", "docs/規程/c.md", "docs/規程/旧/d.md")
    assert found(**options) == names


def test_patterns_hold_for_named_files_too():
    write("docs/a.md", "docs/b.txt")
    assert found("docs/a.md", "docs/b.txt", exclude=("*.txt",)) == ["a.md"]


def test_what_is_no_pattern_is_a_wrong_call():
    write("docs/a.md")
    with pytest.raises(UsageError, match="--include"):
        documents(["docs"], ReadOptions(include=("a\\",)))


def test_ignore_files_hold_below_their_folder():
    write(
        "docs/a.md", "docs/b.log", "docs/keep.log", "docs/build/c.md", "docs/下/b.log", "docs/下/d.md", "docs/下/e.md"
    )
    write("docs/.gitignore", text="# 生成物\nbuild/\n*.log\n!keep.log\n\\\n")
    write("docs/下/.gitignore", text="/d.md\n!b.log\n")
    passed_over = PassedOver()
    assert found(passed_over=passed_over) == ["a.md", "keep.log", "下/b.log", "下/e.md"]
    assert passed_over.ignored == 3
    assert "3 ignored" in str(passed_over)
    assert len(found(ignore=False)) == 7


def test_the_ignore_file_counts_more_than_that_of_git():
    write("docs/a.md", "docs/b.md")
    write("docs/.gitignore", text="a.md\nb.md\n")
    write("docs/.ignore", text="!a.md\n")
    assert found() == ["a.md"]


def test_folders_above_count_up_to_the_repository(here):
    write("repo/.git/config", "repo/docs/a.md", "repo/docs/b.md", "repo/docs/c.md")
    write("repo/.gitignore", text="b.md\n/docs/c.md\n")
    write(".gitignore", text="a.md\n")
    assert found("repo/docs") == ["repo/docs/a.md"]
    assert found(here / "repo" / "docs") == [(here / "repo/docs/a.md").as_posix()]
    write("repo/.gitignore", text="docs/\n")
    assert len(found("repo/docs")) == 3  # asked for by name
    assert found("repo") == []


def test_an_ignore_file_that_cannot_be_read_is_none():
    write("docs/a.md")
    Path("docs/.gitignore").mkdir()
    Path("docs/.ignore").write_bytes(b"\xff\xfe\x00")
    assert found() == ["a.md"]


def test_hidden_files_are_left_out():
    write("docs/a.md", "docs/.b.md", "docs/.git/c.md", "docs/~$a.docx", "docs/desktop.ini", "docs/Thumbs.db")
    assert found() == ["a.md"]
    assert found("docs/.b.md") == [".b.md"]


def test_links_are_not_followed_out_of_the_folder():
    write("docs/a.md", "docs/下/b.md", "other/c.md")
    Path("docs/out.md").symlink_to(Path("other/c.md").resolve())
    Path("docs/下/in.md").symlink_to("../a.md")
    Path("docs/folder").symlink_to("../other")
    passed_over = PassedOver()
    assert found(passed_over=passed_over) == ["a.md", "下/b.md", "下/in.md"]
    assert passed_over.kinds == {OUTSIDE: 1}
    assert found("docs/out.md") == ["out.md"]
    Path("link").symlink_to("docs")
    assert found("link") == ["link/a.md", "link/下/b.md", "link/下/in.md"]


def test_text_is_known_by_its_name():
    write("docs/main.py", "docs/README", "docs/app.LOG", "docs/設定.toml", "docs/x.unknown", "docs/memo", "docs/v.jpg")
    passed_over = PassedOver()
    assert found(passed_over=passed_over) == ["README", "app.LOG", "main.py", "設定.toml"]
    assert passed_over.kinds == {"unknown": 1, "jpg": 1, "without an extension": 1}
    records = list(documents(["docs"]))
    assert [record.fields["kind"] for record in records] == ["txt", "log", "py", "toml"]


DECOMPOSED = unicodedata.normalize("NFD", "規程が/データ.md")
COMPOSED = unicodedata.normalize("NFC", DECOMPOSED)


@pytest.mark.parametrize("pattern", ["データ.md", unicodedata.normalize("NFD", "データ.md")])
def test_decomposed_names_are_shown_and_matched_composed(pattern):
    write(f"docs/{DECOMPOSED}")
    assert found() == [COMPOSED]
    assert found(include=(pattern,)) == [COMPOSED]
    assert found(exclude=(pattern,)) == []
    write("docs/.gitignore", text=f"{pattern}\n")
    assert found() == []


def test_two_files_that_differ_by_form_alone_keep_their_names():
    forms = [unicodedata.normalize(form, "データ.md") for form in ("NFC", "NFD")]
    write(*(f"docs/{name}" for name in forms))
    if len(list(Path("docs").iterdir())) == 1:
        pytest.skip("this file system knows one form")
    assert sorted(found()) == sorted(forms)


def test_the_file_of_a_composed_name_is_found(here):
    write(f"docs/{DECOMPOSED}", "docs/ascii.md")
    for name in (f"docs/{COMPOSED}", f"docs/{DECOMPOSED}", (here / "docs" / COMPOSED).as_posix()):
        assert Path(path_on_disk(name)).samefile(f"docs/{DECOMPOSED}")
    for name in ("docs/ascii.md", "docs/データ", "/", "無い/ガ.md"):
        assert path_on_disk(name) == name
