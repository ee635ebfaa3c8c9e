"""Entry points and versions read from metadata are those that `importlib.metadata` finds."""

from __future__ import annotations

import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from jnlp import entry_points as module
from jnlp.entry_points import entry_points, installed_version


def install(folder: Path, name: str, points: str, *, version: str = "1.0", stem: str = "") -> None:
    """Write a package's metadata as an installer does."""
    info = folder / f"{stem or name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: 挨拶\n\nName: not this\n", encoding="utf-8"
    )
    if points:
        (info / "entry_points.txt").write_text(points, encoding="utf-8")


def zipped(folder: Path) -> Path:
    """Return an archive with the metadata of a package."""
    install(folder, "zipped", "[jnlp]\nzipped = zipped\n")
    archive = folder / "packages.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.glob("*.dist-info/*"):
            file.write(path, path.relative_to(folder))
    return archive


def by_library(group: str) -> set[tuple[str, str, str, str]]:
    return {
        (point.name, point.value, point.dist.name, point.dist.version) if point.dist else ("", "", "", "")
        for point in metadata.entry_points(group=group)
    }


@pytest.mark.parametrize("group", ["console_scripts", "jnlp", "pytest11", "absent"])
def test_the_installed_packages_have_the_same_entry_points(group: str) -> None:
    assert {tuple(point) for point in entry_points(group)} == by_library(group)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    first, second = tmp_path / "first", tmp_path / "second"
    monkeypatch.setattr(sys, "path", [str(first), str(tmp_path / "absent"), str(second)])
    return first, second


def test_the_first_package_of_a_name_counts(folders: tuple[Path, Path]) -> None:
    first, second = folders
    install(first, "jnlp-hello", "[jnlp]\nhello = new\n", version="2.0")
    install(second, "jnlp.hello", "[jnlp]\nhello = old\n", stem="jnlp.hello")
    install(first, "quiet", "")
    install(second, "Quiet", "[jnlp]\nquiet = quiet\n")
    found = entry_points("jnlp")
    assert [tuple(point) for point in found] == [("hello", "new", "jnlp-hello", "2.0")]
    assert {tuple(point) for point in found} == by_library("jnlp")


def test_sections_comments_attributes_and_extras(folders: tuple[Path, Path]) -> None:
    text = "# jnlp\n[other]\na = b\n\n[jnlp]\n# c = d\nloads = json:loads\npath=os:path.join [extra]\nplain  =  json\n"
    install(folders[0], "several", text)
    found = {point.name: point for point in entry_points("jnlp")}
    assert {tuple(point) for point in found.values()} == by_library("jnlp")
    assert {name: point.module for name, point in found.items()} == {"loads": "json", "path": "os", "plain": "json"}
    assert {name: point.load() for name, point in found.items()} == {
        point.name: point.load() for point in metadata.entry_points(group="jnlp")
    }


def test_an_archive_on_the_path_is_left_to_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(zipped(tmp_path))])
    assert [tuple(point) for point in entry_points("jnlp")] == [("zipped", "zipped", "zipped", "1.0")]


def test_a_finder_of_its_own_is_left_to_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        def find_spec(self, *_arguments: object) -> None: ...
        def find_distributions(self, *_arguments: object) -> list[object]:
            return []

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    asked: list[str] = []
    monkeypatch.setattr(module, "_by_library", lambda group: asked.append(group) or [])
    assert entry_points("jnlp") == []
    assert asked == ["jnlp"]


def test_the_installed_packages_have_the_same_versions() -> None:
    names = {each.metadata["Name"] for each in metadata.distributions()}
    assert {name: installed_version(name) for name in names} == {name: metadata.version(name) for name in names}


def test_the_version_of_the_first_package_of_a_name_counts(folders: tuple[Path, Path]) -> None:
    first, second = folders
    install(first, "jnlp-hello", "", version="2.0")
    install(second, "jnlp.hello", "", stem="jnlp.hello")
    assert [installed_version(name) for name in ("jnlp-hello", "Jnlp.Hello", "jnlp_hello")] == ["2.0"] * 3


def test_a_package_that_is_not_installed_has_no_version(folders: tuple[Path, Path]) -> None:
    with pytest.raises(metadata.PackageNotFoundError, match="absent"):
        installed_version("absent")


def test_the_version_of_a_package_in_an_archive_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(zipped(tmp_path))])
    assert installed_version("zipped") == "1.0"
