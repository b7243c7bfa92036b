"""What can go wrong in the library itself; business outcomes are events, never exceptions.

MessagingError
├── OversizeEvent       an event too large for any topic
├── TransientFault      a dependency is down: the batch is tried again, nothing is set aside
├── QuarantineNotFound  no such quarantined record
└── ReplayRefused       the record cannot be applied (still refused, or not open)
"""

from typing import ClassVar


class MessagingError(Exception):
    """Base of this library's errors."""

    code: ClassVar[str] = "messaging_error"
    retryable: ClassVar[bool] = False


class OversizeEvent(MessagingError):  # noqa: N818 - named for what it says
    code = "oversize_event"

    def __init__(self, event_type: str, size: int, limit: int) -> None:
        super().__init__(
            f"{event_type} is {size} bytes, the limit is {limit}: split it or refer to it"
        )


class TransientFault(MessagingError):  # noqa: N818 - named for what it says
    code = "transient_fault"
    retryable = True


class ConsumerStuck(MessagingError):  # noqa: N818 - named for what it says
    """A consumer without progress could not be stopped either."""

    code = "consumer_stuck"

    def __init__(self, consumer: str, seconds: float) -> None:
        super().__init__(
            f"consumer {consumer} made no progress and did not stop within {seconds} s: the process ends, "
            "start it again"
        )


class QuarantineNotFound(MessagingError):  # noqa: N818 - named for what it says
    code = "quarantine_not_found"

    def __init__(self, record_id: str) -> None:
        super().__init__(f"no quarantined record {record_id}: list them with `tally dlq ls`")


class ReplayRefused(MessagingError):  # noqa: N818 - named for what it says
    code = "replay_refused"
