"""Settings from the environment: bounded, checked before anything starts, secrets hidden."""

import re
import sys
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from tally_runtime.redaction import redact_text

S = TypeVar("S", bound="ServiceSettings")

SAMPLE_SECRET_MARK = "sample"  # noqa: S105 - the mark of a secret, not one
"""Every secret shipped in an example file contains this word, so that it is recognised."""

_WEAK_SECRETS = frozenset({"", "admin", "changeme", "password", "postgres", "secret", "tally"})
_SECRET_NAME = re.compile(r"secret|password|token|key|dsn|credential", re.IGNORECASE)
_NUMBERS = (int, float, Decimal, timedelta)


class Environment(StrEnum):
    """Where the process runs; only production refuses sample secrets."""

    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """One wrong variable: its name, what is expected, what was given (masked if secret)."""

    variable: str
    expected: str
    given: str


class SettingsError(ValueError):
    """The environment does not describe a service that may start."""

    code = "settings_invalid"
    retryable = False

    def __init__(self, problems: tuple[SettingProblem, ...]) -> None:
        lines = [f"  {p.variable}: {p.expected}; given {p.given}" for p in problems]
        count = len(problems)
        head = "1 setting is wrong" if count == 1 else f"{count} settings are wrong"
        super().__init__("\n".join([f"{head}; correct the environment and start again:", *lines]))
        self.problems = problems


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class ServiceSettings(BaseSettings):
    """What every service reads; a field `x` of a subclass is the variable `TALLY_X`.

    Every number needs both bounds: a subclass without them fails when it is defined. An empty
    variable counts as not set.
    """

    model_config = SettingsConfigDict(
        env_prefix="TALLY_",
        case_sensitive=False,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        validate_default=True,
        hide_input_in_errors=True,
    )

    environment: Environment = Environment.PRODUCTION
    kafka: str = Field(
        description="bootstrap servers, host:port separated by commas",
        pattern=r"^[A-Za-z0-9.\-_\[\]:]+:\d{1,5}(,[A-Za-z0-9.\-_\[\]:]+:\d{1,5})*$",
    )
    tenant: str = Field(default="main", pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    log_level: Annotated[
        typing.Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)
    ] = "INFO"
    health_host: str = Field(default="127.0.0.1", min_length=1, max_length=255)
    health_port: int = Field(default=0, ge=0, le=65_535, description="0 turns it off")
    otlp_endpoint: str | None = Field(
        default=None, pattern=r"^https?://\S+$", description="not set turns tracing off"
    )
    graceful_timeout_s: int = Field(
        default=20, ge=1, le=300, description="longest wait for work in flight at stop"
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name, info in cls.model_fields.items():
            if _is_number(info.annotation) and not _is_bounded(info):
                raise TypeError(
                    f"{cls.__name__}.{name} is a number without limits: give Field both a lower "
                    "(ge or gt) and an upper (le or lt) bound"
                )

    @property
    def log_json(self) -> bool:
        """Whether logs are JSON lines: always, except on a developer's terminal."""
        return not (self.environment is Environment.DEVELOPMENT and sys.stderr.isatty())


def load_settings(cls: type[S], **overrides: object) -> S:
    """Read settings from the environment, fields in `overrides` winning.

    Raises `SettingsError` naming every bad variable at once.
    """
    try:
        settings = cls(**typing.cast("dict[str, Any]", overrides))
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        # The cause is dropped: its text could show a secret.
        raise SettingsError(tuple(_problem(cls, detail) for detail in details)) from None
    weak = tuple(_sample_secrets(settings))
    if weak and settings.environment is Environment.PRODUCTION:
        raise SettingsError(weak)
    return settings


def environment_name(cls: type[ServiceSettings], field: str) -> str:
    """Return the environment variable a field is read from."""
    info = cls.model_fields.get(field)
    if info is not None and isinstance(info.validation_alias, str):
        return info.validation_alias
    return f"{cls.model_config.get('env_prefix', '')}{field}".upper()


def _problem(cls: type[ServiceSettings], detail: ErrorDetails) -> SettingProblem:
    location = detail["loc"]
    if not location:
        return SettingProblem("(several variables together)", detail["msg"], "(see above)")
    first = str(location[0])
    field = next(
        (name for name, info in cls.model_fields.items() if first in {name, info.validation_alias}),
        first,
    )
    variable = environment_name(cls, field)
    info = cls.model_fields.get(field)
    hint = f" ({info.description})" if info is not None and info.description else ""
    if detail["type"] == "missing":
        return SettingProblem(variable, f"is required{hint}", "nothing")
    if detail["type"] == "extra_forbidden":
        return SettingProblem(variable, "is not a setting of this service", "an override")
    message = detail["msg"].removeprefix("Value error, ").replace("Input should", "should")
    return SettingProblem(variable, f"{message}{hint}", _shown(field, info, detail.get("input")))


def _shown(field: str, info: FieldInfo | None, given: object) -> str:
    secret = _SECRET_NAME.search(field) or (info is not None and _is_secret(info.annotation))
    if secret or isinstance(given, SecretStr | SecretBytes):
        return "a hidden secret"
    shown = redact_text(repr(given))
    return shown if len(shown) <= 80 else shown[:80] + "…"  # noqa: PLR2004 - one line of a terminal


def _sample_secrets(settings: ServiceSettings) -> Iterator[SettingProblem]:
    cls = type(settings)
    for name, info in cls.model_fields.items():
        value = getattr(settings, name)
        if not isinstance(value, SecretStr):
            continue
        text = value.get_secret_value()
        parts = {text.lower()}
        if "://" in text:
            parts = {(urlsplit(text).password or "").lower()}
        default = info.default.get_secret_value() if isinstance(info.default, SecretStr) else None
        if text == default or any(p in _WEAK_SECRETS or SAMPLE_SECRET_MARK in p for p in parts):
            yield SettingProblem(
                environment_name(cls, name),
                "must be a secret of your own in production (or set TALLY_ENVIRONMENT to "
                "development or test)",
                "a sample secret",
            )


def _members(annotation: object) -> tuple[object, ...]:
    origin = typing.get_origin(annotation)
    if origin in {typing.Union, types.UnionType}:
        return typing.get_args(annotation)
    return (annotation,)


def _is_number(annotation: object) -> bool:
    return any(
        isinstance(member, type) and member is not bool and issubclass(member, _NUMBERS)
        for member in _members(annotation)
    )


def _is_secret(annotation: object) -> bool:
    return any(member in {SecretStr, SecretBytes} for member in _members(annotation))


def _is_bounded(info: FieldInfo) -> bool:
    names = {
        name for item in info.metadata for name in ("ge", "gt", "le", "lt") if _has(item, name)
    }
    return bool(names & {"ge", "gt"}) and bool(names & {"le", "lt"})


def _has(item: object, name: str) -> bool:
    return getattr(item, name, None) is not None
