"""What can be wrong between the platform and its database; the root is `PostgresError`."""

from pathlib import Path


class PostgresError(Exception):
    """Base of every error of this library."""

    code = "postgres_error"
    retryable = False


class DsnInvalid(PostgresError):  # noqa: N818 - named for what it says
    """A connection string this library cannot use."""

    code = "postgres_dsn_invalid"


class SchemaNameInvalid(PostgresError):  # noqa: N818 - named for what it says
    """A schema or source name that is no plain identifier."""

    code = "schema_name_invalid"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} cannot name a schema or migration source: use a lower-case letter, then "
            "up to 39 lower-case letters, digits or underscores"
        )


class PasswordMissing(PostgresError):  # noqa: N818 - named for what it says
    """No password was given for a schema's login role."""

    code = "role_password_missing"

    def __init__(self, schema: str) -> None:
        super().__init__(
            f"passwords[{schema!r}] is missing or empty: give the login role tally_{schema} one"
        )


class RoleTooPowerful(PostgresError):  # noqa: N818 - named for what it says
    """An existing role could pass over the walls between the schemas."""

    code = "role_too_powerful"

    def __init__(self, role: str, rights: str) -> None:
        super().__init__(
            f"role {role} exists with {rights}: take these rights away (ALTER ROLE) or drop it"
        )


class MigrationFileInvalid(PostgresError):  # noqa: N818 - named for what it says
    """A migration file or folder that cannot be applied as it stands."""

    code = "migration_file_invalid"

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path


class MigrationEdited(PostgresError):  # noqa: N818 - named for what it says
    """A file differs from what was applied under its number."""

    code = "migration_edited"

    def __init__(self, path: Path, schema: str, applied_name: str) -> None:
        super().__init__(
            f"{path} is not what was applied to schema {schema} (as {applied_name}): restore the "
            "file and put the change into a new one with the next number"
        )
        self.path = path


class MigrationFailed(PostgresError):  # noqa: N818 - named for what it says
    """Postgres refused a file; nothing of that file was kept."""

    code = "migration_failed"

    def __init__(self, path: Path, schema: str, answer: str) -> None:
        super().__init__(f"{path} could not be applied to schema {schema}: {answer.strip()}")
        self.path = path


class MigrationsPending(PostgresError):  # noqa: N818 - named for what it says
    """The database is behind the code that wants to start."""

    code = "migrations_pending"
    retryable = True

    def __init__(self, schema: str, names: list[str]) -> None:
        super().__init__(
            f"schema {schema} lacks {', '.join(names)}: run `tally migrate`, then start again"
        )
        self.names = names


class MigrationLockTimeout(PostgresError):  # noqa: N818 - named for what it says
    """Another runner held the migration lock for too long."""

    code = "migration_lock_timeout"
    retryable = True

    def __init__(self, schema: str, waited_s: float) -> None:
        super().__init__(
            f"another runner has been migrating schema {schema} for over {waited_s:.0f} s: look "
            "for it in pg_stat_activity (application_name tally_migrate), then run again"
        )
