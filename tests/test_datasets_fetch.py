"""Downloads of data sets, from a server on this machine that sends what it should not."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from perfmodel.cli import main
from perfmodel.datasets import fetch, local
from perfmodel.datasets.cards import Card, Download
from perfmodel.errors import DownloadError, InputError, MissingExtraError

pytest.importorskip("pooch", reason="downloads need the extra datasets")

FILES = {"data/a b.csv": b"a" * 70_000, "LICENSE": b"free"}


class Server(ThreadingHTTPServer):
    """Serves :attr:`files`; paths in :attr:`cut` break off half way. Notes what was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = dict(FILES)
        self.cut: set[str] = set()
        self.asked: list[str] = []
        self.together: threading.Barrier | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = unquote(self.path).split("/", 2)[2]  # after the commit
        self.server.asked.append(path)
        if self.server.together is not None:
            self.server.together.wait(timeout=60)
        if path not in self.server.files:
            self.send_error(404)
            return
        content = self.server.files[path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if path in self.server.cut else content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(local.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache" / "datasets"


def of_files(server: Server) -> Card:
    sums = {path: hashlib.sha256(content).hexdigest() for path, content in FILES.items()}
    download = Download("files", server.url + "/{commit}/{path}")
    return Card(
        id="toy", title="", source="", licence="MIT", table="runs", layout="", commit="abc1234", download=download,
        checksums=sums,
    )  # fmt: skip


def of_archive(server: Server, members: tuple[str, ...] = ("**/*.csv", "LICENSE")) -> Card:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in {**FILES, "code.py": b"x"}.items():
            archive.writestr(f"toy-abc1234/{path}", content)
    server.files["toy.zip"] = buffer.getvalue()
    return replace(
        of_files(server), download=Download("archive", server.url + "/{commit}/toy.zip", members), checksums={}
    )


def everything(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_files(server: Server, cache: Path) -> None:
    card = of_files(server)
    assert local.where(card) == "-"
    lines: list[str] = []
    fetched = fetch.get(card, report=lines.append)
    assert (fetched.files, fetched.bytes, fetched.downloaded, fetched.verified) == (2, 70_004, 2, True)
    assert fetched.folder == cache / "toy" / "abc1234"
    found = everything(fetched.folder)
    note = json.loads(found.pop(local.MARKER))
    assert found == FILES
    assert (note["commit"], note["verified"]) == ("abc1234", True)
    assert lines[-1].startswith("toy: 2 of 2 files, 0.1 MB, ")
    assert lines[-1].endswith(" MB/s")
    assert (local.where(card), local.locate(card)) == ("downloaded", fetched.folder)
    # Nothing comes twice; what was changed comes again.
    server.asked.clear()
    assert fetch.get(card).downloaded == 0
    assert server.asked == []
    (fetched.folder / "LICENSE").write_bytes(b"f")
    assert fetch.get(card).downloaded == 1
    assert everything(fetched.folder)["LICENSE"] == b"free"


def failure(card: Card) -> str:
    """The one line of a download that fails; whatever is left is whole."""
    with pytest.raises(DownloadError) as error:
        fetch.get(card)
    message = str(error.value)
    assert "\n" not in message
    assert local.completed(card) is None
    with pytest.raises(InputError, match="toy is not on this machine"):
        local.locate(card)
    left = everything(local.cache_folder())
    assert {name.split("/", 2)[2]: content for name, content in left.items()}.items() <= FILES.items()
    return message


def test_a_wrong_checksum(server: Server) -> None:
    server.files["LICENSE"] = b"not free"
    message = failure(of_files(server))
    assert "does not have the checksum of the card" in message
    assert message.startswith(f"{server.url}/abc1234/LICENSE: ")


def test_a_cut_connection_goes_on_where_it_was(server: Server, cache: Path) -> None:
    card = of_files(server)
    card = replace(card, checksums=dict(sorted(card.checksums.items())))  # the licence first
    server.cut.add("data/a b.csv")
    assert "was cut" in failure(card)
    assert [p.name for p in cache.rglob("*") if p.is_file()] == ["LICENSE"]
    server.cut.clear()
    server.asked.clear()
    assert fetch.get(card).downloaded == 1
    assert server.asked == ["data/a b.csv"]


def test_a_full_disk(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    import pooch.downloaders

    class Full(io.FileIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pooch.downloaders, "open", lambda path, mode: Full(path, "w"), raising=False)
    message = failure(of_files(server))
    assert "no space left on the disk of" in message
    assert "PERFMODEL_CACHE" in message


def test_a_file_that_is_not_there(server: Server) -> None:
    del server.files["LICENSE"]
    assert "abc1234/LICENSE answered 404" in failure(of_files(server))


def test_no_server(server: Server) -> None:
    card = of_files(server)
    assert card.download is not None
    unreachable = replace(card.download, url="http://127.0.0.1:9/{commit}/{path}")
    assert "the connection to http://127.0.0.1:9/abc1234/" in failure(replace(card, download=unreachable))


def test_a_folder_that_cannot_be_written(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(local.CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(DownloadError, match=r"cannot write to .*file"):
        fetch.get(of_files(server))


def test_an_interrupt(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch._Progress, "update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch.get(of_files(server))
    assert [p for p in cache.rglob("*") if p.is_file()] == []


def test_an_archive_without_a_checksum_says_so(server: Server) -> None:
    card = of_archive(server)
    fetched = fetch.get(card)
    assert (fetched.files, fetched.verified) == (2, False)
    assert fetched.sha256 == hashlib.sha256(server.files["toy.zip"]).hexdigest()
    found = everything(fetched.folder)
    assert json.loads(found.pop(local.MARKER))["archive_sha256"] == fetched.sha256
    assert found == FILES
    server.asked.clear()
    again = fetch.get(card)
    assert (again.downloaded, again.files, again.bytes, again.sha256) == (0, 2, 70_004, fetched.sha256)
    assert server.asked == []


def test_archives_that_are_refused(server: Server, cache: Path) -> None:
    card = of_archive(server)
    assert card.download is not None
    assert "checksum" in failure(replace(card, download=replace(card.download, sha256="0" * 64)))
    server.files["toy.zip"] = b"PK no archive"
    assert "is no ZIP archive" in failure(card)
    assert "holds none of nothing" in failure(of_archive(server, ("nothing",)))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("toy/../../evil.csv", b"x")
    server.files["toy.zip"] = buffer.getvalue()
    assert "not safe to unpack" in failure(card)
    assert [p for p in cache.rglob("*") if p.is_file()] == []
    server.files["toy.zip"] = b"x" * 1000
    server.cut.add("toy.zip")
    assert "was cut" in failure(card)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda z: z.writestr("toy/CON.csv", b"x"), "not safe"), (lambda z: z.writestr("toy/sub/a:b.csv", b"x"), "not safe"),
        (lambda z: z.writestr("toy/a.csv/b.csv", b"x") or z.writestr("toy/a.csv", b"x"), "twice"),
        (lambda z: z.writestr("toy/a.csv", b"x") or z.writestr("other/a.csv", b"y"), "twice"),
        (lambda z: z.writestr("toy/a.csv", b"\0" * 3_000_000), "more than"),
    ],
    ids=["a device of Windows", "a stream of Windows", "a file and a folder", "a name twice", "without end"],
)  # fmt: skip
def test_members_that_are_refused(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, make: Any, why: str
) -> None:
    monkeypatch.setattr(fetch, "_MAX_ARCHIVE_BYTES", 2_000_000)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        make(archive)
    card = of_archive(server)
    server.files["toy.zip"] = buffer.getvalue()
    assert why in failure(card)
    assert [p for p in cache.rglob("*") if p.is_file()] == []


def test_a_member_that_is_encrypted_is_refused(server: Server, cache: Path) -> None:
    card = of_archive(server)
    data = bytearray(server.files["toy.zip"])
    for start, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(start) + at] |= 1
    server.files["toy.zip"] = bytes(data)
    assert "cannot be unpacked" in failure(card)


def test_two_processes_that_fetch_one_archive(server: Server, cache: Path) -> None:
    """Both get the answer at the same moment; what one of them finished, the other never takes away."""
    card = of_archive(server)
    server.together = threading.Barrier(2)
    code = (
        "import dataclasses, sys; from pathlib import Path; from perfmodel.datasets import fetch; "
        "from perfmodel.datasets.cards import Card, Download; "
        f"card = Card(id='toy', title='', source='', licence='MIT', table='runs', layout='', commit='abc1234', checksums={{}}, "
        f"download=Download('archive', {card.download.url!r}, {card.download.members!r})); "  # type: ignore[union-attr]
        "print(fetch.get(card).files)"
    )
    root = str(Path(__file__).parent.parent)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": root},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for process in running:
        out, said = process.communicate(timeout=60)
        assert (out, said) == (b"2\n", b"")
    found = everything(cache / "toy" / "abc1234")
    assert json.loads(found.pop(local.MARKER))["files"] == 2
    assert found == FILES
    assert [p.name for p in (cache / "toy").iterdir()] == ["abc1234"]


def test_what_another_process_finished_stays(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for folder in (mine, theirs):
        folder.mkdir()
        (folder / "whose").write_text(folder.name)
    assert fetch._put(mine, theirs)  # theirs was cut short
    assert (theirs / "whose").read_text() == "mine"
    (theirs / local.MARKER).write_text("{}")
    mine.mkdir()
    assert not fetch._put(mine, theirs)


def test_without_pooch(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(
        MissingExtraError, match=r"downloading data sets needs the package 'pooch'.*perfmodel\[datasets\]"
    ):
        fetch.get(of_files(server))


def test_sets_without_a_download(server: Server) -> None:
    with pytest.raises(InputError, match="toy cannot be downloaded"):
        fetch.get(replace(of_files(server), download=None))


def test_the_command(server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from perfmodel.datasets import cards, registry

    monkeypatch.setitem(registry.ADAPTERS, "toy", registry.ADAPTERS["zeus"])
    monkeypatch.setattr(cards, "load_card", lambda name: of_archive(server))
    assert main(["datasets", "get", "toy"]) == 0
    out, err = capsys.readouterr()
    assert "2 files, 0.1 MB, 2 of them new" in " ".join(out.split())
    assert "not verified: the card knows no checksum of this archive" in " ".join(out.split())
    assert err == ""  # progress is for terminals
    assert main(["datasets", "get", "toy", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["verified"] is False
    assert main(["datasets", "get", "toys"]) == 2
    assert "did you mean 'toy'" in capsys.readouterr().err
