"""What every command prints in the same way."""

import pytest

from tally_cli.output import print_error


def test_an_error_keeps_its_code_and_its_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    print_error("import_incomplete", "rows [a] and [/] are refused")
    assert capsys.readouterr().err == "error [import_incomplete]: rows [a] and [/] are refused\n"
