"""A real Postgres and a real Kafka from packages. See README.md."""

from tally_embedded.address import StackAddress
from tally_embedded.errors import StackError
from tally_embedded.jars import fetch
from tally_embedded.process import free_ports, is_free
from tally_embedded.server import ServerControl, ServerState, ServerStatus
from tally_embedded.stack import Stack, StackStatus, embedded_stack, open_stack, running_stack
from tally_embedded.topics import TopicSpec, ensure_topics

__all__ = [
    "ServerControl",
    "ServerState",
    "ServerStatus",
    "Stack",
    "StackAddress",
    "StackError",
    "StackStatus",
    "TopicSpec",
    "embedded_stack",
    "ensure_topics",
    "fetch",
    "free_ports",
    "is_free",
    "open_stack",
    "running_stack",
]
