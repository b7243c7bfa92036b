"""What a benchmark says of the interpreter it ran on."""

import platform
import re
import sysconfig

import pytest

from tally_testkit.interpreter import interpreter


def test_it_names_the_version_and_how_fast_python_runs_beside_c() -> None:
    told = interpreter()
    assert told["python"].endswith(f" {platform.python_version()}")
    found = re.fullmatch(r"1,000 turns ([0-9]+) us, 1 MiB hashed ([0-9]+) us", told["python_speed"])
    assert found is not None
    assert all(int(figure) > 0 for figure in found.groups())


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (
            "'--prefix=/usr' '--enable-optimizations' '--with-lto'",
            "--enable-optimizations --with-lto",
        ),
        ("-O2 -flto -fprofile-use -g", "-fprofile-use -flto"),
        ("-O2", "no flags of optimisation admitted"),
    ],
)
def test_it_names_the_flags_a_build_admits(
    monkeypatch: pytest.MonkeyPatch, flags: str, told: str
) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", lambda _: flags)
    assert interpreter()["python_build"] == told
