"""Rails by the class of endpoint they reach (F41)."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class EndpointClass(StrEnum):
    """CASH is spendable anywhere; CASH_LIKE after a step of its own; CLOSED_LOOP at some merchants."""

    CASH = "cash"
    CASH_LIKE = "cash_like"
    CLOSED_LOOP = "closed_loop"


CLASS_OF: Mapping[str, EndpointClass] = MappingProxyType(
    {
        "ach": EndpointClass.CASH,
        "card": EndpointClass.CASH,
        "check": EndpointClass.CASH,
        "mobile_money": EndpointClass.CASH,
        "paypal": EndpointClass.CASH,
        "sepa": EndpointClass.CASH,
        "wire": EndpointClass.CASH,
        "crypto": EndpointClass.CASH_LIKE,
        "prepaid": EndpointClass.CASH_LIKE,
        "wallet": EndpointClass.CASH_LIKE,
        "giftcard": EndpointClass.CLOSED_LOOP,
        "store_credit": EndpointClass.CLOSED_LOOP,
    }
)
"""Every rail a policy may name. A published policy carries its own copy: versions never change."""
