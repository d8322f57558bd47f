"""The data folder has prompts, emails and keys: nobody else on the machine reads them, and nothing else is touched."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.errors import SettingsError
from gateway.local import data_folder
from gateway.settings import Settings


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The usual one, and as it was afterwards: it belongs to the whole process."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A data folder as versions before left it, with files that are not ours to change beside and behind it."""
    data = tmp_path / "data"
    for folder in ("redis/appendonlydir", "outputs/outputs/0a/gen_1", "demo"):
        (data / folder).mkdir(parents=True)
    for file in (
        "admin-key", "lock", "redis/appendonlydir/appendonly.aof.1.incr.aof", "outputs/outputs/0a/gen_1/1-0.png",
        "demo/gen_1-0.png", "up.log",
    ):  # fmt: skip
        (data / file).write_text("a prompt")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "page.html").write_text("public")
    (data / "redis" / "link.aof").symlink_to(elsewhere / "page.html")
    (data / "outputs" / "linked").symlink_to(elsewhere)
    return data


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(data: Path) -> set[str]:
    found = {path for path in (data, *data.rglob("*")) if not path.is_symlink() and mode(path) & 0o077}
    return {str(path.relative_to(data)) for path in found}


def test_what_is_there_already_is_closed_and_what_is_not_ours_is_left(old: Path, tmp_path: Path) -> None:
    assert len(open_to_others(old)) > 8
    data_folder.take(old)
    assert open_to_others(old) == {"demo", "demo/gen_1-0.png", "up.log"}
    assert mode(old) == 0o700
    assert mode(tmp_path / "elsewhere") == 0o755
    assert mode(tmp_path / "elsewhere" / "page.html") == 0o644


def test_a_tree_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir()
    (elsewhere / "below").mkdir(parents=True)
    (data / "outputs").symlink_to(elsewhere)
    (data / "admin-key").symlink_to("/etc/hostname")
    data_folder.take(data)
    assert (mode(elsewhere), mode(elsewhere / "below")) == (0o755, 0o755)


def test_a_new_folder_and_what_any_program_writes_there_is_closed_from_the_first_moment(tmp_path: Path) -> None:
    data = tmp_path / "above" / "data"
    data_folder.take(data)
    (data / "redis" / "appendonlydir").mkdir(parents=True)
    (data / "redis" / "appendonlydir" / "file").write_text("a prompt")
    assert open_to_others(data) == set()


@pytest.mark.parametrize("name", [".cache", "Documents", "index.html"])
def test_a_folder_with_other_things_in_it_stays_as_it_is_but_for_ours(old: Path, name: str) -> None:
    """FAREBOX_DATA may be a home, a web server's folder, `/`: its other users are not locked out of it."""
    (old / name).mkdir()
    (old / name / "theirs").write_text("public")
    with capture_logs() as logs:
        data_folder.take(old)
    assert [line["event"] for line in logs] == ["DATA_FOLDER_OPEN"]
    assert (mode(old), mode(old / name), mode(old / name / "theirs")) == (0o755, 0o755, 0o644)
    assert mode(old / "redis") == 0o700
    assert mode(old / "admin-key") == 0o600


def test_a_user_without_a_home_has_a_data_folder(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process ended with a RuntimeError in a container, whose user is a number without a name."""

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    data_folder.take(old)
    assert mode(old) == 0o700


def test_a_home_is_never_closed(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(old))
    with capture_logs() as logs:
        data_folder.take(old)
    assert [line["event"] for line in logs] == ["DATA_FOLDER_OPEN"]
    assert mode(old) == 0o755


def test_old_files_are_gone_through_once(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store has millions of them, and every start would wait."""
    data_folder.take(old)
    monkeypatch.setattr(os, "fwalk", None)
    data_folder.take(old)


def test_more_than_a_start_may_wait_for_is_gone_on_with_at_the_next(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as few:
        few.setattr(data_folder, "_ENTRIES_MAX", 3)
        data_folder.take(old)
    assert open_to_others(old) > {"demo", "demo/gen_1-0.png", "up.log"}
    data_folder.take(old)
    assert open_to_others(old) == {"demo", "demo/gen_1-0.png", "up.log"}


def test_where_nothing_can_be_written_a_process_that_needs_nothing_there_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with capture_logs() as logs:
        data_folder.take(tmp_path / "file" / "data")
    assert [line["event"] for line in logs] == ["data_folder_unusable"]


def test_secrets_are_in_a_closed_folder_also_where_a_command_makes_it_first(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    settings.secret("admin-key")
    assert open_to_others(settings.data) == set()


def test_a_secret_that_another_user_put_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data=tmp_path / "data")
    settings.secret("admin-key")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    if os.getuid() == 0:
        os.chown(settings.data / "admin-key", 12345, -1)
    with pytest.raises(SettingsError, match="belongs to another user"):
        settings.secret("admin-key")
