"""As what somebody looks, the more senior first, and who sees a field of a document."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

OPERATOR, AGGREGATOR, COMPANY, PARTNER, PAYEE = (
    "operator",
    "aggregator",
    "company",
    "partner",
    "payee",
)
ALL = frozenset({OPERATOR, AGGREGATOR, COMPANY, PARTNER, PAYEE})
BUSINESS = ALL - {PAYEE}
SENIOR = frozenset({OPERATOR, AGGREGATOR, COMPANY})
TOP = frozenset({OPERATOR, AGGREGATOR})
OPERATOR_ALONE = frozenset({OPERATOR})


def fields(**seen_by: Collection[str]) -> Mapping[str, frozenset[str]]:
    """A part of the table: by field, the personas that see it."""
    return MappingProxyType({name: frozenset(personas) for name, personas in seen_by.items()})
