"""Why a question is not answered: a code, the field at fault, and what to do."""

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


class NotFound(QuestionRefused):
    """There is no such thing, or the viewer may not see it: which of the two is not told."""

    status = 404
    code = "not_found"
    remedy = "check the id; ask whoever owns it to share it"

    def __init__(self) -> None:
        super().__init__("nothing of this id is in your view")


class CursorInvalid(QuestionRefused):
    code = "cursor_invalid"
    remedy = "give the `next` of an earlier answer as it was, or none to begin"


class FieldUnknown(QuestionRefused):
    code = "field_unknown"
    remedy = "name fields of the items, parted by commas"


class SpanInvalid(QuestionRefused):
    code = "span_invalid"
    remedy = "give `at`, or `from` and a later `until`, as 2026-01-31 or 2026-01-31T08:00:00Z"


class SpanTooLong(QuestionRefused):
    code = "span_too_long"
    remedy = "ask for shorter spans, one after the other"


class NotSettledYet(QuestionRefused):
    """A statement of a time so near that facts about it may still be on their way."""

    status = 409
    code = "not_settled_yet"
    remedy = "ask again later, or for an earlier time"
    retryable = True


class ViewerMissing(QuestionRefused):
    status = 401
    code = "viewer_missing"
    remedy = "ask through the gateway"
