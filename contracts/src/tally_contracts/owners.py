"""How money names an owner who is no party: what stands before the name, part of the contract.

Words alone, so that domains may import this module of the contracts, and no other.
"""

from typing import Final

OF_EVENT: Final = "event:"
"""Before an event's reference: nobody knows yet who gets the money, and a claim will say."""

OF_CONTACT: Final = "contact:"
"""Before a contact's token: the money is for whoever shows that the contact is theirs."""

RESTRICTED: Final = "restricted:"
"""Before an owner: the money is theirs once they may receive it, and apart until then."""

WAITING: Final = (OF_EVENT, OF_CONTACT, RESTRICTED)
"""Before every owner whose money waits for somebody else to have it."""
