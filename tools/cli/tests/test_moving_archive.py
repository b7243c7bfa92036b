"""An export that is not what was written is refused by code, file and line, with what to do (F62)."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tally_cli.main import app
from tally_cli.moving.archive import MANIFEST, ArchiveFault, Manifest, Page, write_rows

TENANT = "party_01h455vb4pex5vsknk084sn02q"
PARTIES, WALLETS = "directory.party.jsonl", "directory.wallet.jsonl"
ROWS = [
    {"party_id": TENANT, "parent": None, "alias": "Zürich"},
    {"party_id": "party_2", "parent": TENANT},
    {"party_id": "party_3", "parent": TENANT},
]


async def _of(rows: list[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    for row in rows:
        yield row


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole export of three parties."""
    page = asyncio.run(write_rows(tmp_path / PARTIES, _of(ROWS)))
    Manifest(TENANT, "2026-09-21T08:00:00+00:00", {}, {PARTIES: page}).write(tmp_path)
    return tmp_path


def _edited(change: Callable[[bytes], bytes], name: str = PARTIES) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / name
        path.write_bytes(change(path.read_bytes()))

    return edit


def _said(**changes: object) -> Callable[[Path], None]:
    """The manifest says something else, and its digest is right."""

    def edit(folder: Path) -> None:
        said = Manifest.read(folder)
        fields = {
            name: getattr(said, name) for name in ("tenant", "taken_at", "ledger_heads", "files")
        }
        Manifest(**fields | changes).write(folder)

    return edit


def _lines(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    return _edited(lambda data: b"".join(change(data.splitlines(keepends=True))))


def _another_version(data: bytes) -> bytes:
    return data.replace(b"tallystick-export/1", b"tallystick-export/9")


CASES: dict[str, tuple[Callable[[Path], None], str, str, str]] = {
    "a value": (_edited(lambda d: d.replace(b"party_2", b"party_4")), "file_changed", "SHA-256", "copy"),
    "cut in a row": (_edited(lambda d: d[:-9]), "file_changed", f"{PARTIES} line 3", "copy"),
    "cut between rows": (_lines(lambda rows: rows[:2]), "file_changed", "2 rows, 3 expected", "copy"),
    "a mark at the start": (
        _edited(lambda d: b"\xef\xbb\xbf" + d), "file_changed", f"{PARTIES} line 1", "copy"
    ),
    "another encoding": (
        _edited(lambda d: d.decode().encode("latin-1")), "file_changed", f"{PARTIES} line 1", "copy"
    ),
    "another system's line ends": (
        _edited(lambda d: d.replace(b"\n", b"\r\n")), "file_changed", f"{PARTIES} line 1", "copy"
    ),
    "10 MB in a line": (
        _lines(lambda rows: [rows[0], b"x" * 10_000_000 + b"\n", rows[2]]),
        "file_changed", f"{PARTIES} line 2", "copy",
    ),
    "brackets without end": (
        _lines(lambda rows: [*rows[:2], b"[" * 200_000]), "file_changed", f"{PARTIES} line 3", "copy"
    ),
    "a file gone": (lambda f: (f / PARTIES).unlink(), "file_missing", PARTIES, "copy"),
    "a file more": (
        lambda f: (f / WALLETS).write_text("{}\n") and None, "file_unknown", WALLETS, "take it out"
    ),
    "another version": (_edited(_another_version, MANIFEST), "format_unknown", "export/9", "release"),
    "a manifest edited": (
        _edited(lambda d: d.replace(TENANT.encode(), b"party_9"), MANIFEST),
        "manifest_changed", MANIFEST, "export again",
    ),
    "a manifest cut": (_edited(lambda d: d[:40], MANIFEST), "manifest_unreadable", MANIFEST, "give"),
    "a manifest of brackets": (
        _edited(lambda _: b"[" * 200_000, MANIFEST), "manifest_unreadable", MANIFEST, "give"
    ),
    "no moment": (_said(taken_at="yesterday"), "manifest_unreadable", MANIFEST, "give"),
    "a moment of nowhere": (
        _said(taken_at="2026-09-21T08:00:00"), "manifest_unreadable", MANIFEST, "give"
    ),
    "a file elsewhere": (
        _said(files={"../../dev/zero": Page(0, "")}), "manifest_unreadable", MANIFEST, "give"
    ),
}  # fmt: skip


def test_a_whole_export_is_read(folder: Path) -> None:
    assert Manifest.read(folder).files[PARTIES].rows == len(ROWS)


@pytest.mark.parametrize("case", CASES)
def test_f62_what_is_not_what_was_exported_is_refused(folder: Path, case: str) -> None:
    damage, code, place, remedy = CASES[case]
    damage(folder)
    with pytest.raises(ArchiveFault) as raised:
        Manifest.read(folder)
    assert raised.value.code == code
    assert place in str(raised.value)
    assert remedy in str(raised.value)
    told = CliRunner().invoke(app, ["import", str(folder), "--check"])
    assert (told.exit_code, f"error [{code}]" in told.stderr) == (1, True)


def test_f62_parties_above_each_other_end_no_import(tmp_path: Path) -> None:
    rows = [
        {**row, "kind": "company", "state": "registered", "external_id": None, "country": None}
        for row in ({"party_id": "party_1", "parent": "party_2"}, {"party_id": "party_2", "parent": "party_1"})
    ]  # fmt: skip
    page = asyncio.run(write_rows(tmp_path / PARTIES, _of(rows)))
    Manifest(TENANT, "2026-09-21T08:00:00+00:00", {}, {PARTIES: page}).write(tmp_path)
    told = CliRunner().invoke(app, ["import", str(tmp_path), "--check"])
    assert told.exit_code == 1
    assert f"error [row_unusable]: {PARTIES} line 1" in told.stderr


def test_f62_a_manifest_is_json_with_its_digest(folder: Path) -> None:
    said = json.loads((folder / MANIFEST).read_text())
    assert said["digest"] == Manifest.read(folder).digest
