"""Read APIs that services open to the gateway alone. See README.md."""

from tally_reads.api import guarded, viewer_of
from tally_reads.errors import AskedTooOften, NotFound, QuestionRefused, ViewerMissing
from tally_reads.server import ASKER_KEEPS_S, ReadServer, SignalFreeServer
from tally_reads.settings import Port, ReadSettings

__all__ = [
    "ASKER_KEEPS_S",
    "AskedTooOften",
    "NotFound",
    "Port",
    "QuestionRefused",
    "ReadServer",
    "ReadSettings",
    "SignalFreeServer",
    "ViewerMissing",
    "guarded",
    "viewer_of",
]
