"""`farebox backup` and `farebox restore`: whole or not at all, for the owner only, and never over anything."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result

from gateway.backup import take
from gateway.backup.manifest import Manifest
from gateway.backup.restore import put_back
from gateway.cli import farebox
from gateway.domain import generation_id
from gateway.errors import BackupFailed, FareboxError
from gateway.outputs import output_key
from gateway.pricing.load import packaged_card_path
from gateway.settings import Settings, load_settings
from tests.redis_servers import RedisServer

AT = 1_790_000_000_000_000_000  # the card's file time


@pytest.fixture
def folder(tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place where Farebox ran: a ledger on a Redis, keys, a card, an output, and a half-written one."""
    for name in os.environ:
        if name.startswith("FAREBOX_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FAREBOX_LEDGER_URL", redis_url)
    monkeypatch.chdir(tmp_path)
    for name in ("signing-key", "admin-key"):
        Settings().secret(name)  # type: ignore[arg-type]  # a loop's variable is any text
    (tmp_path / "pricing.toml").write_bytes(packaged_card_path().read_bytes())
    os.utime(tmp_path / "pricing.toml", ns=(AT, AT))
    output = tmp_path / ".farebox" / "outputs" / output_key(generation_id(3), 1, 0, "image/png")
    output.parent.mkdir(parents=True)
    output.write_bytes(b"a picture")
    output.with_name(f"{output.name}#1").write_bytes(b"half of one")
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("repl-diskless-sync-delay", 0)
        client.set("fb:meta", "1,64")
    return tmp_path


def test_a_backup_is_put_back_with_keys_card_and_outputs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = run("backup", "kept", "--verify")
    assert "read back and compared" in said
    assert "settings (FAREBOX_…)" in said
    monkeypatch.setenv("FAREBOX_DATA", "restored")
    (folder / "pricing.toml").unlink()
    assert "appendonly yes" in run("restore", "kept")  # this Redis is not ours to put files into
    for name in ("signing-key", "admin-key"):
        assert (folder / "restored" / name).read_text().strip() == (folder / ".farebox" / name).read_text().strip()
    assert [path.read_bytes() for path in files(folder / "restored" / "outputs")] == [b"a picture"]
    assert (folder / "pricing.toml").read_bytes() == packaged_card_path().read_bytes()
    assert (folder / "pricing.toml").stat().st_mtime_ns == AT


def test_the_embedded_redis_starts_on_what_was_put_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("backup", "kept")
    monkeypatch.delenv("FAREBOX_LEDGER_URL")
    monkeypatch.setenv("FAREBOX_DATA", "restored")
    assert "The rate card is pricing.toml." in run("restore", "kept")  # it is there, and the same
    assert "none yet" in run("signing-key", "show")  # it has been read, by a Redis of the command's own
    run("backup", "again")
    assert json.loads((folder / "again" / "manifest.json").read_text())["redis"]


def test_only_the_owner_reads_a_backup_and_what_is_put_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("backup", "kept")
    monkeypatch.setenv("FAREBOX_DATA", "restored")
    run("restore", "kept")
    for top in (folder / "kept", folder / "restored"):
        for path in (top, *top.rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize(
    ("damage", "said"), [(b"a  other", "bytes, not"), (b"a Picture", "SHA-256"), (None, "No such")]
)
def test_a_damaged_backup_is_named_file_by_file_and_not_put_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes | None, said: str
) -> None:
    run("backup", "kept")
    (output,) = files(folder / "kept" / "outputs")
    if damage is None:
        output.unlink()
    else:
        output.write_bytes(damage)
    monkeypatch.setenv("FAREBOX_DATA", "restored")
    for arguments in (("restore", "--check", "kept"), ("restore", "kept")):
        message = failure(invoke(*arguments))
        assert output.name in message
        assert said in message
    assert not (folder / "restored").exists()


def test_what_cannot_be_put_back_as_a_whole_leaves_no_outputs_either(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They had their name already when the next file failed, and were in the way of the next try."""
    run("backup", "kept")
    monkeypatch.setenv("FAREBOX_DATA", "restored")
    monkeypatch.setenv("FAREBOX_OUTPUTS_URL", (folder / "store").as_uri())
    manifest = Manifest.read(folder / "kept")
    (folder / "kept" / "keys" / "signing-key").write_text("another")  # after it was compared
    with pytest.raises(BackupFailed, match="nothing was restored"):
        put_back(load_settings(), folder / "kept", manifest, lambda _: None)
    assert [(folder / name).exists() for name in ("restored", "store")] == [False, False]


def test_outputs_that_belong_into_a_bucket_now_are_left_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They lay in the data folder, where nobody read them, and every link to one was answered 404."""
    run("backup", "kept")
    monkeypatch.setenv("FAREBOX_DATA", "restored")
    monkeypatch.setenv("FAREBOX_OUTPUTS_URL", "s3://bucket/pictures")
    said = " ".join(run("restore", "kept").split())
    assert "FAREBOX_OUTPUTS_URL is s3://bucket/pictures: copy them there" in said
    assert len(files(folder / "restored" / "outputs")) == 1


def test_a_backup_and_its_output_have_no_credentials_of_a_bucket(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAREBOX_OUTPUTS_URL", "s3://AKIAEXAMPLE:its-secret@bucket/pictures?token=its-secret")
    said = run("backup", "kept") + (folder / "kept" / "manifest.json").read_text()
    assert said.count("s3://bucket/pictures;") == 2
    assert "its-secret" not in said


def test_nothing_is_overwritten(folder: Path) -> None:
    run("backup", "kept")
    before = (folder / "kept" / "manifest.json").read_bytes()
    assert "kept already exists" in failure(invoke("backup", "kept"))
    assert (folder / "kept" / "manifest.json").read_bytes() == before
    assert ".farebox already exists" in failure(invoke("restore", "kept"))


@pytest.mark.parametrize("trouble", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_what_is_stopped_halfway_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, trouble: BaseException
) -> None:
    before = sorted(folder.iterdir())

    def fail(*_: object) -> None:
        raise trouble

    monkeypatch.setattr(take, "copy_files", fail)
    answer = invoke("backup", "kept")
    assert answer.exit_code == (130 if isinstance(trouble, KeyboardInterrupt) else 1)
    assert sorted(folder.iterdir()) == before


def test_a_backup_whose_manifest_leads_out_of_it_is_refused(folder: Path) -> None:
    run("backup", "kept")
    path = folder / "kept" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][0]["path"] = "../elsewhere"
    path.write_text(json.dumps(manifest))
    assert "is outside the backup" in failure(invoke("restore", "--check", "kept"))


def test_another_signing_key_than_the_backups_is_refused_before_anything_is_put_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("backup", "kept")
    monkeypatch.setenv("FAREBOX_SIGNING_KEY", "x9Kq2Zt7Lm4Wc8Rv1Bn6Yp3Hs5Jd0Gfe")
    monkeypatch.setenv("FAREBOX_DATA", "restored")
    assert "is not the backup's key" in failure(invoke("restore", "kept"))
    assert not (folder / "restored").exists()


def test_a_redis_that_hands_out_no_snapshot_is_said_with_the_way_out(
    folder: Path, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_redis.client() as client:
        client.acl_setuser("default", enabled=True, nopass=True, commands=["-sync"])
    monkeypatch.setenv("FAREBOX_LEDGER_URL", own_redis.url)
    assert "--without-ledger" in failure(invoke("backup", "kept"))
    assert not (folder / "kept").exists()
    assert "the ledger (--without-ledger)" in run("backup", "kept", "--without-ledger")
    assert not (folder / "kept" / "ledger").exists()


def test_a_folder_where_nothing_ran_is_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / ".farebox" / "signing-key") in failure(invoke("backup", "kept"))
    assert list(tmp_path.iterdir()) == []


def files(top: Path) -> list[Path]:
    return [path for path in top.rglob("*") if path.is_file()]


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(farebox, arguments)


def run(*arguments: str) -> str:
    answer = invoke(*arguments)
    assert answer.exit_code == 0, (answer.output, answer.exception)
    return answer.output


def failure(answer: Result) -> str:
    assert isinstance(answer.exception, FareboxError), (answer.output, answer.exception)
    return str(answer.exception)
