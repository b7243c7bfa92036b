"""Postgres for the services: pools, transactions, migrations and roles. See README.md."""

from tally_postgres.connection import Connection, Pool, Record, Uuid
from tally_postgres.errors import (
    MigrationEdited,
    MigrationFailed,
    MigrationFileInvalid,
    MigrationLockTimeout,
    MigrationsPending,
    PasswordMissing,
    PostgresError,
    RoleTooPowerful,
)
from tally_postgres.lint import LintFinding, lint
from tally_postgres.migration_files import MigrationSource, Schema
from tally_postgres.migrations import migrate, pending, verify_version
from tally_postgres.names import PostgresDsn, login_role, owner_role, service_dsn
from tally_postgres.pool import create_pool
from tally_postgres.readiness import NotPrimary, require_primary
from tally_postgres.roles import provision
from tally_postgres.transactions import in_transaction, is_transient

__all__ = [
    "Connection",
    "LintFinding",
    "MigrationEdited",
    "MigrationFailed",
    "MigrationFileInvalid",
    "MigrationLockTimeout",
    "MigrationSource",
    "MigrationsPending",
    "NotPrimary",
    "PasswordMissing",
    "Pool",
    "PostgresDsn",
    "PostgresError",
    "Record",
    "RoleTooPowerful",
    "Schema",
    "Uuid",
    "create_pool",
    "in_transaction",
    "is_transient",
    "lint",
    "login_role",
    "migrate",
    "owner_role",
    "pending",
    "provision",
    "require_primary",
    "service_dsn",
    "verify_version",
]
