"""Why a question is not answered: a code, the field at fault, and what to do."""

from collections.abc import Mapping
from typing import ClassVar


class QuestionRefused(Exception):  # noqa: N818 - named for what it says
    """A question that has no answer; nothing was changed."""

    status: ClassVar[int] = 422
    code: ClassVar[str] = "question_refused"
    remedy: ClassVar[str] = "correct the question"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.headers: Mapping[str, str] = {}


class NotFound(QuestionRefused):
    """There is no such thing, or the viewer may not see it: which of the two is not told."""

    status = 404
    code = "not_found"
    remedy = "check the id; ask whoever owns it to share it"

    def __init__(self) -> None:
        super().__init__("nothing of this id is in your view")


class ViewerMissing(QuestionRefused):
    status = 401
    code = "viewer_missing"
    remedy = "ask through the gateway"


class AskedTooOften(QuestionRefused):
    """The viewer has asked as often as it may for now; again in `wait_s` seconds."""

    status = 429
    code = "rate_limited"
    remedy = "wait as many seconds as Retry-After says"
    retryable = True

    def __init__(self, detail: str, wait_s: int) -> None:
        super().__init__(detail)
        self.wait_s = wait_s
        self.headers = {"Retry-After": str(wait_s)}
