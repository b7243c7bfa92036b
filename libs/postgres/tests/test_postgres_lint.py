from pathlib import Path

import pytest

from tally_postgres import lint


def write(folder: Path, name: str, sql: str) -> Path:
    path = folder / name
    path.write_text(sql, encoding="utf-8")
    return path


def test_ordinary_expanding_migrations_are_clean(tmp_path: Path) -> None:
    table = write(
        tmp_path,
        "0001_transfer.sql",
        "CREATE TABLE transfer (id bigint PRIMARY KEY, tries integer NOT NULL);\n"
        "CREATE INDEX transfer_tries ON transfer (tries);\n"
        "ALTER TABLE transfer ADD COLUMN note text;\n"
        "REVOKE UPDATE, DELETE ON transfer FROM tally_ledger;\n",
    )
    index = write(
        tmp_path,
        "0002_index.sql",
        "-- tally: no-transaction\n"
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS transfer_note ON transfer (note);\n",
    )
    assert lint([table, index]) == []
    assert lint([]) == []


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("CREATE INDEX i ON transfer (note);", "require-concurrent-index-creation"),
        ("ALTER TABLE transfer ADD COLUMN x text NOT NULL;", "adding-required-field"),
        ("ALTER TABLE transfer DROP COLUMN note;", "ban-drop-column"),
        ("ALTER TABLE transfer ADD CHECK (id > 0);", "constraint-missing-not-valid"),
    ],
)
def test_migrations_that_block_or_break_running_code_are_found(
    tmp_path: Path, sql: str, rule: str
) -> None:
    path = write(tmp_path, "0002_bad.sql", f"SELECT 1;\n{sql}\n")
    findings = lint([path])
    assert rule in {finding.rule for finding in findings}
    assert {(finding.path, finding.line) for finding in findings} == {(path, 2)}
    assert str(findings[0]).startswith(f"{path}:2: ")
