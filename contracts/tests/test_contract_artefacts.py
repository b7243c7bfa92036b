"""Generated files are current, the same on every machine, and drift is named with its remedy."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tally_contracts.generate.__main__ import main

CONTRACTS = Path(__file__).parents[1]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the contracts folder without its sources and tests."""
    for part in ("generated", "examples", "released"):
        shutil.copytree(CONTRACTS / part, tmp_path / part)
    shutil.copy(CONTRACTS / "pyproject.toml", tmp_path)
    return tmp_path


def test_generated_files_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--check"])
    assert (status, capsys.readouterr().err) == (0, "")


def test_check_names_every_drifted_file_and_the_remedy(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generated = tree / "generated"
    (generated / "system-map.md").write_text("edited by hand\n", encoding="utf-8")
    (generated / "schemas" / "ledger.hold.place.v1.json").unlink()
    (generated / "schemas" / "ledger.hold.place.v0.json").write_text("{}", encoding="utf-8")
    assert main(["--root", str(tree), "--check"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "generated/schemas/ledger.hold.place.v0.json: nothing generates it",
        "generated/schemas/ledger.hold.place.v1.json: missing",
        "generated/system-map.md: differs from the models or the catalogue",
        "Run `make contracts` and commit.",
    ]


def test_generating_mends_every_drift(tree: Path) -> None:
    generated = tree / "generated"
    (generated / "system-map.md").write_text("edited by hand\n", encoding="utf-8")
    (generated / "stale.md").write_text("", encoding="utf-8")
    shutil.rmtree(generated / "asyncapi")
    assert main(["--root", str(tree)]) == 0
    assert main(["--root", str(tree), "--check"]) == 0


@pytest.mark.parametrize("seed", ["1", "2"])
def test_output_does_not_depend_on_the_hash_seed(tree: Path, seed: str) -> None:
    shutil.rmtree(tree / "generated")
    subprocess.run(
        [sys.executable, "-m", "tally_contracts.generate", "--root", str(tree)],
        env={"PYTHONHASHSEED": seed},
        check=True,
    )
    assert main(["--root", str(tree), "--check"]) == 0


def test_folder_that_is_no_source_tree_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--root", str(tmp_path)]) == 1
    assert "--root" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_freezing_refuses_to_bless_a_changed_example(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = (tree / "examples" / "frozen.sha256").read_bytes()
    example = tree / "examples" / "payouts.status.changed.v1" / "typical.json"
    example.write_text(example.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert main(["--root", str(tree), "--freeze"]) == 1
    assert "payouts.status.changed.v1/typical.json: changed" in capsys.readouterr().err
    assert (tree / "examples" / "frozen.sha256").read_bytes() == manifest
