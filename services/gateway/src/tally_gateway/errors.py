"""What the API refuses, as RFC 9457 problems: every code once, with its status, title and remedy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Final


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: HTTP status, what it is called, and what to do about it in general.

    `field`: the header that is always what is wrong.
    """

    status: int
    title: str
    remedy: str
    field: str | None = None


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "malformed_request": Kind(
            400, "The request cannot be read", "Send what the reference shows."
        ),
        "malformed_json": Kind(400, "The body is not JSON", "Send one JSON document in UTF-8."),
        "idempotency_key_missing": Kind(
            400,
            "A command needs an Idempotency-Key",
            "Send a header Idempotency-Key of 1 to 128 printable characters, new for each command and "
            "the same for each repetition of it.",
            "Idempotency-Key",
        ),
        "prefer_invalid": Kind(
            400,
            "The header Prefer cannot be read",
            "Send Prefer: wait=N with N from 0 to 30 seconds.",
            "Prefer",
        ),
        "cursor_invalid": Kind(
            400, "The cursor is none of ours", "Send the cursor of an earlier answer as it came."
        ),
        "step_up_invalid": Kind(
            400,
            "The header Tally-Step-Up cannot be read",
            "Send the challenge, a colon and the code of eight letters and digits.",
        ),
        "credentials_missing": Kind(
            401,
            "No credentials were given",
            "Send Authorization: Bearer with an API key or an access token.",
        ),
        "credentials_invalid": Kind(
            401,
            "The credentials are not accepted",
            "Send an API key or access token that is whole, not revoked and not expired.",
        ),
        "scope_missing": Kind(
            403,
            "The credentials may not do this",
            "Use credentials with the scope that the detail names.",
        ),
        "step_up_required": Kind(
            403,
            "A person's code is needed",
            "Have the person read you the code that was sent to them, and send the same request with the "
            "same Idempotency-Key and a header Tally-Step-Up of the challenge, a colon and the code.",
        ),
        "step_up_wrong": Kind(
            403, "The code is wrong", "Send the code as it came; after five wrong ones it is dead."
        ),
        "step_up_expired": Kind(
            403,
            "The code has expired",
            "Send the request without the header Tally-Step-Up: a new code is sent to the person.",
        ),
        "step_up_used": Kind(
            403,
            "The code was used",
            "Send the request without the header Tally-Step-Up: a new code is sent to the person.",
        ),
        "step_up_dead": Kind(
            403,
            "The challenge is dead after five wrong codes",
            "If it was not you, revoke the key. Else send the request without the header Tally-Step-Up: "
            "a new code is sent to the person.",
        ),
        "step_up_other_request": Kind(
            403,
            "The code was asked for another request",
            "Send the very request the code was asked for, with its Idempotency-Key, or this one without "
            "the header Tally-Step-Up.",
        ),
        "step_up_unknown": Kind(
            403,
            "There is no such challenge",
            "Send `challenge` as it came, or the request without the header Tally-Step-Up.",
        ),
        "not_found": Kind(
            404,
            "There is no such thing here",
            "Check the id. What your party may not see is answered in the same way.",
        ),
        "method_not_allowed": Kind(
            405, "This address has no such method", "Use a method that the header Allow names."
        ),
        "not_acceptable": Kind(406, "No form that was asked for", "Accept application/json."),
        "idempotency_key_reused": Kind(
            409,
            "The Idempotency-Key was used for another request",
            "Send a new key for a new command, or the same request for the same key.",
            "Idempotency-Key",
        ),
        "import_cancelled": Kind(
            409,
            "The import was cancelled",
            "Send the rows that are still wanted as a new import, with a new Idempotency-Key.",
        ),
        "body_too_large": Kind(
            413, "The body is too large", "Send less at once, or use an import."
        ),
        "unsupported_media_type": Kind(
            415,
            "The body has a form that is not read here",
            "Send the Content-Type the detail names.",
        ),
        "invalid_request": Kind(
            422, "Fields of the request are wrong", "Correct each field that `errors` names."
        ),
        "command_refused": Kind(
            422, "The command was refused and changed nothing", "Do what the remedy says."
        ),
        "rate_limited": Kind(
            429, "Too many requests", "Wait as many seconds as the header Retry-After says."
        ),
        "step_up_too_many": Kind(
            429,
            "Too many codes were asked for",
            "Use a code that was sent, or wait as many seconds as the header Retry-After says.",
        ),
        "internal_error": Kind(
            500,
            "Something went wrong here",
            "Repeat the request with the same Idempotency-Key; if it stays, tell the operator the "
            "correlation id.",
        ),
        "unavailable": Kind(
            503, "Not available for the moment", "Repeat the same request after a few seconds."
        ),
    }
)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: where (JSON pointer into the body, or the parameter's name), and what to do."""

    field: str
    code: str
    detail: str
    remedy: str


class GatewayError(Exception):
    """Base of this service's errors."""

    code: ClassVar[str] = "gateway_error"
    retryable: ClassVar[bool] = False


@dataclass(eq=False)
class Problem(GatewayError):  # noqa: N818 - named for what RFC 9457 calls it
    """An answer that is a problem; `kind` is a key of KINDS, `problem_code` may be finer than it.

    `extra` are members of the document that only this problem has.
    """

    kind: str
    detail: str
    problem_code: str | None = None
    pointer: str | None = None
    remedy: str | None = None
    errors: tuple[FieldError, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(self.detail)

    @property
    def status(self) -> int:
        return KINDS[self.kind].status

    @property
    def shown_code(self) -> str:
        """The code as the caller sees it."""
        return self.problem_code or self.kind


def not_found(field: str | None = None) -> Problem:
    """The one answer for what is not there and for what must not be seen; `field` is what named it."""
    return Problem(
        "not_found", "Nothing of this id can be seen with these credentials.", pointer=field
    )
