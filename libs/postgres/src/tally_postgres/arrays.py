"""Arrays reach Postgres without an abstract class being asked about each of their elements."""

from asyncpg.protocol import protocol

_CONTAINERS: tuple[type, ...] = (list, tuple, set, frozenset, type({}.keys()), type({}.values()))
_ASKED = "IterableABC"


def tell_arrays_by_type() -> None:
    """Let the driver tell an array, and arrays within it, by these types alone.

    It asks `collections.abc.Iterable` and `Sized` of every element of every column, to find arrays
    of more dimensions. Each answer is half a microsecond of Python, and columns hold hundreds of
    elements for a payment. Anything else that is given as an array is a TypeError of the driver's.
    """
    if hasattr(protocol, _ASKED):
        # A name the driver's module looks up when it asks; isinstance takes a tuple of types as well.
        setattr(protocol, _ASKED, _CONTAINERS)
