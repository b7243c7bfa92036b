"""F31 on real books: whose a wallet is, by which law its clock runs, and when it begins anew."""

import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from tally_contracts.base import Amount, Who
from tally_contracts.directory_facts import PartiesMerged
from tally_contracts.funding import Beneficiary
from tally_contracts.funding_claims import ClaimIssued, DormancyChanged, IssueClaim
from tally_contracts.funding_unclaimed import NoticeDue, OwnerConfirmed, ReclaimChanged
from tally_funding.claims.worker import ClaimsWorker
from tally_money import Money, iso_currencies
from tally_runtime import derived_id, party_id_of
from tally_testkit import ServiceDatabase

from .agreement_bench import BOOKS, Platform, open_platform, party, who
from .test_receipts_service import publish
from .unclaimed_bench import (
    CLAIM_COMMANDS,
    COMMANDS,
    EVENT,
    START,
    WHY,
    YEARS_3,
    claim,
    confirm,
    decision,
    dormancy,
    followed,
    held,
    of,
    pay_in,
    payout,
    proposal,
    reclaim,
    reclaim_decision,
    send,
    states,
    to_anna,
    transfer,
    until_reportable,
    wallet_opened,
    work,
)

CONTACT = "contact:ct_carl"
YEARS_5 = START.replace(year=2031) - START


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


async def law(platform: Platform, account: str) -> tuple[str, str, str]:
    """Whose tree a wallet is in, by which law its clock runs, and where it stands."""
    ((tenant, jurisdiction, period, state),) = await platform.rows(
        "SELECT tenant, jurisdiction, period, dormancy FROM claimable_wallet"
        f" WHERE account = '{account}'"
    )
    assert period.startswith(f"{jurisdiction}:")
    return tenant, jurisdiction, state


async def test_clock_goes_by_the_country_of_an_owner_who_is_registered_later(
    platform: Platform,
) -> None:
    """What it had come to by the law of the holder is begun anew."""
    carl = party("carl")
    account = BOOKS.wallet(carl, "USD").id
    await pay_in(platform, 1, Beneficiary(party=carl))
    await work(platform, days=YEARS_3.days)
    assert await law(platform, account) == (party("root"), "us", "notice_sent")
    await platform.register("other", tenant="other")
    await platform.register("carl", tenant="other", country="DE")
    assert states(await platform.settle(), carl) == ["active"]
    assert await law(platform, account) == (party("other"), "elsewhere", "active")
    assert states(await work(platform, days=YEARS_5.days - YEARS_3.days - 1), carl) == []
    assert states(await work(platform, days=1), carl) == ["dormant", "notice_sent"]


async def test_money_a_company_brought_before_it_was_registered_is_of_its_tree_since(
    platform: Platform,
) -> None:
    account = BOOKS.wallet(EVENT, "USD").id
    await pay_in(platform, 1, company="late")
    assert await law(platform, account) == (party("late"), "elsewhere", "active")
    await platform.register("late", country="US")
    assert await law(platform, account) == (party("root"), "us", "active")
    assert of(await platform.settle(), DormancyChanged)[-1].jurisdiction == "us"
    rows = await platform.rows("SELECT company, tenant FROM claimable_company")
    assert [tuple(row) for row in rows] == [(party("late"), party("root"))]


@pytest.mark.parametrize("payee", ["event", "known"])
async def test_f31_money_of_a_company_that_names_no_country_goes_by_the_law_of_the_root(
    platform: Platform, payee: str
) -> None:
    await platform.register("roving", "drifter", country=None)
    to = Beneficiary(party=party("drifter")) if payee == "known" else None
    await pay_in(platform, 1, *([to] if to else []), company="roving")
    owner = party("drifter") if to else EVENT
    assert await law(platform, BOOKS.wallet(owner, "USD").id) == (party("root"), "us", "active")


@pytest.mark.parametrize("payee", ["event", "known"])
async def test_f31_money_that_came_before_a_company_without_a_country_goes_by_the_law_of_the_root(
    platform: Platform, payee: str
) -> None:
    to = Beneficiary(party=party("drifter")) if payee == "known" else None
    await pay_in(platform, 1, *([to] if to else []), company="roving")
    account = BOOKS.wallet(party("drifter") if to else EVENT, "USD").id
    assert await law(platform, account) == (party("roving"), "elsewhere", "active")
    await platform.register("roving", "drifter", country=None)
    assert await law(platform, account) == (party("root"), "us", "active")


@pytest.mark.parametrize("payee", ["event", "known", "unknown"])
@pytest.mark.parametrize("country", [None, "DE"])
async def test_f31_root_told_of_after_its_companies_says_the_law_where_they_name_no_country(
    platform: Platform, payee: str, country: str | None
) -> None:
    await platform.register("roving", tenant="other", country=country)
    if payee == "known":
        await platform.register("drifter", tenant="other", country=None)
    to = None if payee == "event" else Beneficiary(party=party("drifter"))
    await pay_in(platform, 1, *([to] if to else []), company="roving")
    account = BOOKS.wallet(party("drifter") if to else EVENT, "USD").id
    assert await law(platform, account) == (party("other"), "elsewhere", "active")
    await platform.register("other", tenant="other", country="US")
    told = "elsewhere" if country else "us"
    assert await law(platform, account) == (party("other"), told, "active")


@pytest.mark.parametrize("owner", ["anna", "drifter"])
async def test_f31_clocks_of_before_are_asked_once_more_by_which_law_they_go(
    platform: Platform, owner: str
) -> None:
    """As the upgrade marks them; who names a country of its own meanwhile is left as it is."""
    await platform.register("drifter", country=None)
    await pay_in(platform, 1, Beneficiary(party=party(owner)))
    account = BOOKS.wallet(party(owner), "USD").id
    with psycopg.connect(platform.database.admin_dsn, autocommit=True) as session:
        session.execute(
            "UPDATE funding.claimable_wallet SET jurisdiction = 'elsewhere', ask_law = true,"
            " period = 'elsewhere:wallet:2000-01-01' WHERE account = %s",
            [account],
        )
    await work(platform, days=0)
    law_now = "elsewhere" if owner == "anna" else "us"
    assert await law(platform, account) == (party("root"), law_now, "active")
    assert await platform.rows("SELECT FROM claimable_wallet WHERE ask_law") == []


def merged(*, into: str, who_was: str = "carl") -> PartiesMerged:
    """Carl, or who was, is somebody else, too."""
    return PartiesMerged(
        tenant=party("root"),
        who=who("root"),
        reason="one person",
        occurred_at=START,
        party_id=party(into),
        merged=party(who_was),
        merged_tenant=party("root"),
        by="approval",
    )


async def test_wallet_is_of_the_party_it_was_merged_into_and_by_its_country(
    platform: Platform,
) -> None:
    await platform.register("carl", country="DE")
    await pay_in(platform, 1, Beneficiary(party=party("carl")))
    account = BOOKS.wallet(party("carl"), "USD").id
    assert await law(platform, account) == (party("root"), "elsewhere", "active")
    await platform.send(merged(into="anna"), topic="directory.parties.v1")
    assert await law(platform, account) == (party("root"), "us", "active")
    (fact,) = of(await send(platform, confirm(party("anna"), "anna")), OwnerConfirmed)
    assert fact.wallets == 1


async def test_f29_withdrawal_that_the_kept_one_asks_for_is_a_sign_for_all_that_it_became(
    platform: Platform,
) -> None:
    await platform.register("carl", country="US")
    await pay_in(platform, 1, Beneficiary(party=party("carl")))
    await publish(platform, places=("*",))
    platform.later(seconds=1)
    await pay_in(platform, 2, Beneficiary(party=party("carl")))
    await platform.send(merged(into="anna"), topic="directory.parties.v1")
    await work(platform, days=YEARS_3.days)
    owners = party("carl"), f"restricted:{party('carl')}"
    for by, state in (("ben", "notice_sent"), ("anna", "active")):
        asked = payout("approved", by=by).model_copy(update={"owner": party("carl")})
        await platform.send(asked, topic="payouts.payout.v1")
        assert [await dormancy(platform, owner) for owner in owners] == [state, state]


@pytest.mark.parametrize("in_order", [True, False])
async def test_f29_chain_of_merges_ends_at_the_one_that_is_kept_in_whatever_order_it_is_told(
    platform: Platform, *, in_order: bool
) -> None:
    await platform.register("carl", contacts=True, country="DE")
    await pay_in(platform, 1, Beneficiary(party=party("carl")))
    chain = [merged(into="ben"), merged(into="anna", who_was="ben")]
    for fact in chain if in_order else reversed(chain):
        await platform.send(fact, topic="directory.parties.v1")
    # What is said of the former ones' contacts only now is said of the kept one's.
    await platform.register("carl", "ben", contacts=True, country="US")
    account = BOOKS.wallet(party("carl"), "USD").id
    ((owner,),) = await platform.rows(
        f"SELECT owner FROM claimable_wallet WHERE account = '{account}'"
    )
    rows = await platform.rows("SELECT contact, party_id FROM party_contact ORDER BY contact")
    kept = party("anna")
    assert (owner, rows) == (kept, [("ct_anna", kept), ("ct_ben", kept), ("ct_carl", kept)])
    rows = await platform.rows("SELECT party_id, merged_into FROM party_level ORDER BY party_id")
    became = {party(name): party("anna") for name in ("ben", "carl")} | {party("anna"): None}
    assert dict(map(tuple, rows)) == became


async def test_withdrawal_from_a_wallet_that_money_named_by_a_reference_is_a_sign(
    platform: Platform,
) -> None:
    """Payouts names the owner as money did; who asks is the party that the reference means."""
    payee = party_id_of("payee-7", BOOKS.tenant)
    await pay_in(platform, 1, Beneficiary(party="payee-7"))
    account = BOOKS.wallet("payee-7", "USD").id
    opened = wallet_opened(payee, account, reference="payee-7")
    await platform.send(opened, topic="directory.wallets.v1")
    await work(platform, days=YEARS_3.days)
    assert (await law(platform, account))[2] == "notice_sent"
    asked = payout("approved", by="anna").model_copy(
        update={"owner": "payee-7", "who": Who(actor="key:payee-7", principal=payee)}
    )
    await platform.send(asked, topic="payouts.payout.v1")
    assert (await law(platform, account))[2] == "active"


@pytest.fixture
async def closed(platform: Platform) -> Platform:
    """Nobody may receive yet."""
    await publish(platform, places=("*",))
    return platform


async def law_of_restricted(platform: Platform, name: str) -> tuple[str, str, str]:
    return await law(platform, BOOKS.wallet(f"restricted:{party(name)}", "USD").id)


async def test_f27_clock_of_restricted_money_goes_by_its_payee_and_stays_in_its_tree(
    closed: Platform,
) -> None:
    await pay_in(closed, 1, Beneficiary(party=party("carl")))
    assert await law_of_restricted(closed, "carl") == (party("root"), "us", "active")
    await closed.register("other", tenant="other")
    await closed.register("carl", tenant="other", country="DE")
    assert await law_of_restricted(closed, "carl") == (party("root"), "elsewhere", "active")
    await closed.send(merged(into="anna"), topic="directory.parties.v1")
    assert await law_of_restricted(closed, "carl") == (party("root"), "us", "active")


async def test_f27_company_that_is_told_of_later_says_whose_tree_restricted_money_is_in_alone(
    closed: Platform,
) -> None:
    await closed.register("carl", country="DE")
    await pay_in(closed, 1, Beneficiary(party=party("carl")), company="late")
    assert await law_of_restricted(closed, "carl") == (party("late"), "elsewhere", "active")
    await closed.register("late", country="US")
    assert await law_of_restricted(closed, "carl") == (party("root"), "elsewhere", "active")


async def test_f27_clock_of_what_was_claimed_and_is_restricted_goes_by_the_claimant(
    closed: Platform,
) -> None:
    await closed.register("carl", contacts=True, country="DE")
    await pay_in(closed, 1)
    assert await law(closed, BOOKS.wallet(EVENT, "USD").id) == (party("root"), "us", "active")
    await claim(closed, "carl")
    assert await law_of_restricted(closed, "carl") == (party("root"), "elsewhere", "active")


async def test_owner_that_money_named_by_a_reference_signs_by_its_id_once_the_directory_tells_it(
    platform: Platform,
) -> None:
    await pay_in(platform, 1, Beneficiary(party="payee-7"))
    account = BOOKS.wallet("payee-7", "USD").id
    opened = wallet_opened(party("anna"), account, reference="payee-7")
    await platform.send(opened, topic="directory.wallets.v1")
    (fact,) = of(await send(platform, confirm(party("anna"), "anna")), OwnerConfirmed)
    assert fact.wallets == 1


async def empty(platform: Platform, owner: str) -> None:
    """Payouts that others asked for take all there is, by what payouts tells."""
    rest = Money(await followed(platform, owner), iso_currencies()["USD"])
    changes = {"amount": Amount.of(rest), "owner": owner, "account": BOOKS.wallet(owner, "USD").id}
    gone = payout("paid", by="co", sequence=4).model_copy(update=changes)
    await platform.send(gone, topic="payouts.payout.v1")
    assert await followed(platform, owner) == 0


async def test_money_in_a_wallet_that_was_empty_has_a_clock_of_its_own(platform: Platform) -> None:
    anna = party("anna")
    await to_anna(platform, 1)
    await empty(platform, anna)
    assert states(await work(platform, days=YEARS_3.days - 1), anna) == []
    await to_anna(platform, 2)
    assert states(await work(platform, days=YEARS_3.days - 1), anna) == []
    assert states(await work(platform, days=2), anna) == ["dormant", "notice_sent"]
    # Emptied since: what comes then has a clock of its own too, and that is told.
    await empty(platform, anna)
    await to_anna(platform, 3)
    assert states(platform.told, anna)[-1] == "active"
    assert await dormancy(platform, anna) == "active"


async def test_wallet_emptied_before_its_notice_is_not_taken_further(platform: Platform) -> None:
    anna = party("anna")
    await to_anna(platform, 1)
    platform.clock.advance(timedelta(days=YEARS_3.days))
    await ClaimsWorker(BOOKS).turn(platform.funding.transactor)
    assert await dormancy(platform, anna) == "dormant"
    await empty(platform, anna)
    told = await work(platform, days=1)
    assert states(told, anna) == ["active"]
    assert [fact for fact in of(told, NoticeDue) if fact.owner == anna] == []


async def test_money_that_comes_while_a_line_is_remitted_has_a_clock_of_its_own(
    platform: Platform,
) -> None:
    anna, ben = party("anna"), party("ben")
    await to_anna(platform, 1)
    await pay_in(platform, 2, Beneficiary(party=ben))
    await until_reportable(platform)
    await send(platform, proposal())
    await platform.give(decision(), topic=COMMANDS)
    # The ledger has the order by now; what ben sends is told before its answer.
    await transfer(platform, by="ben", to=BOOKS.wallet(anna, "USD"), number=1)
    assert await followed(platform, anna) == await held(platform, anna) == 500
    assert states(platform.told, anna)[-2:] == ["escheated", "active"]
    assert await dormancy(platform, anna) == "active"


async def test_reclaim_leaves_the_clock_of_money_that_came_since(platform: Platform) -> None:
    anna = party("anna")
    await to_anna(platform, 1)
    await until_reportable(platform)
    await send(platform, proposal(), decision())
    await to_anna(platform, 2)
    account = BOOKS.wallet(anna, "USD").id
    told = await send(platform, reclaim(account), reclaim_decision())
    assert of(told, ReclaimChanged)[-1].state == "moved"
    assert (states(told, anna), await dormancy(platform, anna)) == ([], "active")


async def test_balances_of_before_are_taken_over_as_the_docs_say(platform: Platform) -> None:
    """One wallet was entered at nothing, one is told of only afterwards."""
    anna, ben = party("anna"), party("ben")
    await to_anna(platform, 1)
    await pay_in(platform, 2, Beneficiary(party=ben))
    account = BOOKS.wallet(ben, "USD").id
    page = Path(__file__).parents[3] / "docs/how-to/take-over-balances.md"
    (script,) = re.findall(r"```sql\n(.*?)```", page.read_text(), re.DOTALL)
    with psycopg.connect(platform.database.admin_dsn, autocommit=True) as session:
        session.execute("UPDATE funding.claimable_wallet SET balance = 0")
        session.execute("DELETE FROM funding.claimable_wallet WHERE account = %s", [account])
        session.execute(script.encode())
    await platform.send(wallet_opened(ben, account), topic="directory.wallets.v1")
    for owner in (anna, ben):
        assert await followed(platform, owner) == await held(platform, owner) > 0
