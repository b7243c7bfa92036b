"""F31 on real books: whose a wallet is, by which law its clock runs, and when it begins anew."""

from collections.abc import AsyncIterator, Callable

import pytest

from tally_contracts.funding import Beneficiary
from tally_contracts.funding_claims import ClaimIssued, IssueClaim
from tally_runtime import derived_id
from tally_testkit import ServiceDatabase

from .agreement_bench import BOOKS, Platform, open_platform, party, who
from .unclaimed_bench import (
    CLAIM_COMMANDS,
    START,
    WHY,
    followed,
    held,
    of,
    pay_in,
    send,
    wallet_opened,
)

CONTACT = "contact:ct_carl"


@pytest.fixture
async def platform(fresh_database: Callable[..., ServiceDatabase]) -> AsyncIterator[Platform]:
    async with open_platform(fresh_database) as opened:
        await opened.register("root", "co", country="US")
        await opened.register("anna", "ben", contacts=True, country="US")
        yield opened


@pytest.mark.parametrize("directory_first", [True, False])
async def test_x3_money_for_a_contact_is_claimable_whoever_tells_of_its_wallet_first(
    platform: Platform, *, directory_first: bool
) -> None:
    """The directory knows a party by the contact that money is for, and says that the wallet is its."""
    account = BOOKS.wallet(CONTACT, "USD").id
    told = wallet_opened(party("carl"), account, reference=CONTACT)
    if directory_first:
        await platform.send(told, topic="directory.wallets.v1")
    await pay_in(platform, 1, Beneficiary(contact="ct_carl"))
    if not directory_first:
        await platform.send(told, topic="directory.wallets.v1")
    assert await followed(platform, CONTACT) == await held(platform, CONTACT) > 0
    issue = IssueClaim(
        claim_id=derived_id("clm", "carl"),
        owner=CONTACT,
        tenant=party("root"),
        expires_at=START.replace(year=2027),
        who=who("co"),
        why=WHY,
        occurred_at=START,
    )
    assert of(await send(platform, issue, topic=CLAIM_COMMANDS), ClaimIssued)


async def test_wallet_a_party_opens_under_the_name_of_a_contact_is_its_own(
    platform: Platform,
) -> None:
    account = BOOKS.wallet(party("anna"), "USD").id
    opened = wallet_opened(party("anna"), account, reference=CONTACT)
    await platform.send(opened, topic="directory.wallets.v1")
    rows = await platform.rows("SELECT account, owner FROM claimable_wallet")
    assert [tuple(row) for row in rows] == [(account, party("anna"))]
