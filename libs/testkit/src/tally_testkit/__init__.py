"""Fixtures and builders over the real stack; never a runtime dependency. See README.md."""

from tally_testkit.clocks import ShiftedClock
from tally_testkit.databases import Databases, ServiceDatabase
from tally_testkit.topics import RawRecord, Topics, event_headers

__all__ = [
    "Databases",
    "RawRecord",
    "ServiceDatabase",
    "ShiftedClock",
    "Topics",
    "event_headers",
]
