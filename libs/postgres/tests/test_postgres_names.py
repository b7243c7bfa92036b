from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tally_postgres import PostgresDsn, login_role, owner_role, service_dsn
from tally_postgres.errors import DsnInvalid


def test_roles_are_named_after_their_schema() -> None:
    assert (login_role("ledger"), owner_role("ledger")) == ("tally_ledger", "tally_ledger_owner")


def test_hosts_database_and_options_stay_and_the_user_changes() -> None:
    admin = "postgresql://admin:p%40ss@a:5432,b:5433/tally?sslmode=verify-full"
    assert service_dsn(admin, "tally_ledger", "s/e c@ret") == (
        "postgresql://tally_ledger:s%2Fe%20c%40ret@a:5432,b:5433/tally?sslmode=verify-full"
    )
    assert service_dsn("postgres://h/d", "r", "p") == "postgres://r:p@h/d"
    assert service_dsn("postgresql:///d?host=/run/pg", "r", "p") == (
        "postgresql://r:p@/d?host=/run/pg"
    )


@given(st.text(st.characters(blacklist_categories=["Cs"]), min_size=1))
def test_every_password_survives_the_address(password: str) -> None:
    parts = urlsplit(service_dsn("postgresql://a:b@h:1/d", "r", password))
    assert unquote(parts.password or "") == password
    assert (parts.username, parts.hostname, parts.path) == ("r", "h", "/d")


@pytest.mark.parametrize("dsn", ["", "host=x user=y", "mysql://h/d"])
def test_other_address_forms_are_refused_without_showing_them(dsn: str) -> None:
    with pytest.raises(DsnInvalid, match="postgresql://user:password@host:5432/database"):
        service_dsn(dsn, "r", "p")


def test_a_settings_field_takes_a_complete_address_and_hides_it() -> None:
    adapter = TypeAdapter[PostgresDsn](PostgresDsn)
    assert "s3cret" not in repr(adapter.validate_python("postgresql://u:s3cret@h/d"))
    for bad in ("localhost", "postgresql://h", "http://h/d"):
        with pytest.raises(ValidationError, match="should have the form"):
            adapter.validate_python(bad)
