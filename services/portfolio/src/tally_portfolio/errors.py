"""Why the portfolio does not answer a question, beside what any read API refuses."""

from tally_reads import QuestionRefused


class CursorInvalid(QuestionRefused):
    code = "cursor_invalid"
    remedy = "give the `next` of an earlier answer as it was, or none to begin"


class FieldUnknown(QuestionRefused):
    code = "field_unknown"
    remedy = "name fields of the items, parted by commas"


class SpanInvalid(QuestionRefused):
    code = "span_invalid"
    remedy = "give `at`, or `from` and a later `until`, as 2026-01-31 or 2026-01-31T08:00:00Z"


class NotSettledYet(QuestionRefused):
    """A statement of a time so near that facts about it may still be on their way."""

    status = 409
    code = "not_settled_yet"
    remedy = "ask again later, or for an earlier time"
    retryable = True
