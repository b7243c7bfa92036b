"""Names of schemas, their roles and their connection strings."""

import re
from typing import Annotated
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import AfterValidator, SecretStr

from tally_postgres.errors import DsnInvalid, SchemaNameInvalid

_SCHEMES = frozenset({"postgres", "postgresql"})
_FORM = "postgresql://user:password@host:5432/database"
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,39}")


def checked_name(name: str) -> str:
    """Return `name` if it may stand in SQL unquoted, or raise `SchemaNameInvalid`."""
    if _IDENTIFIER.fullmatch(name) is None:
        raise SchemaNameInvalid(name)
    return name


def owner_role(schema: str) -> str:
    """Return the role that owns a schema and runs its migrations; it cannot log in."""
    return f"tally_{checked_name(schema)}_owner"


def login_role(schema: str) -> str:
    """Return the role a service logs in with."""
    return f"tally_{checked_name(schema)}"


def service_dsn(admin_dsn: str, role: str, password: str) -> str:
    """Return `admin_dsn` with another user and password: same hosts, database and options."""
    parts = urlsplit(admin_dsn)
    if parts.scheme not in _SCHEMES:
        raise DsnInvalid(f"the database address is no URL of the form {_FORM}")
    hosts = parts.netloc.rpartition("@")[2]
    user = f"{quote(role, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{user}@{hosts}"))


def _checked_dsn(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    if parts.scheme not in _SCHEMES or not parts.path.strip("/"):
        raise ValueError(f"should have the form {_FORM}")
    return value


PostgresDsn = Annotated[SecretStr, AfterValidator(_checked_dsn)]
"""The type of a settings field that holds a connection string."""
