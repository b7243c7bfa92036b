"""The payees' ways to be paid: accounts opened, instruments sealed and registered, methods chosen."""

from collections.abc import Iterable

from tally_cli.demo.dataset import CURRENCIES, Payee
from tally_cli.publishing import CLI_SOURCE, Publication, publication
from tally_contracts.base import Event, Who
from tally_contracts.ledger import AccountSpec, OpenAccount
from tally_contracts.payouts import ChooseMethod
from tally_contracts.rails import RegisterInstrument
from tally_railkit.sealing import SealingKey, seal
from tally_runtime import Clock, derived_id, derived_uuid

_ROUTING = "121042882"
_WHO = Who(actor="demo", principal="demo")


def register(
    payees: Iterable[Payee], *, run: str, tenant: str, key: SealingKey, clock: Clock
) -> list[Publication]:
    """Open each payee's spending wallets and register what money can be sent to."""
    records: list[Publication] = []
    for payee in payees:
        for code in CURRENCIES:
            if rail_of(payee, code) == "wallet":
                account = _spending_account(payee, code, tenant)
                opening = OpenAccount(
                    account=account, ledger="main", who=_WHO, occurred_at=clock.now()
                )
                records.append(
                    _record(
                        opening,
                        "ledger.commands.v1",
                        "main",
                        name=f"{run}-{account.id}",
                        clock=clock,
                    )
                )
                details = {"account": account.id}
            else:
                assert payee.ach_account is not None, "the ACH rail needs an account number"
                details = {
                    "routing_number": _ROUTING,
                    "account_number": payee.ach_account,
                    "account_type": "checking",
                    "holder_name": f"Payee {payee.party[-3:]}",
                }
            event = _registration(payee, code, details, key, clock)
            name = event.instrument_id
            records.append(
                _record(event, "rails.commands.v1", name, name=f"{run}-{name}", clock=clock)
            )
    return records


def choose(payees: Iterable[Payee], *, run: str, clock: Clock) -> list[Publication]:
    """Each payee's choice: from now on, money of this currency leaves this way."""
    records: list[Publication] = []
    for payee in payees:
        for code in CURRENCIES:
            rail = rail_of(payee, code)
            event = ChooseMethod(
                owner=payee.party,
                currency=code,
                rail=rail,
                instrument=instrument_id(payee, code),
                who=Who(actor=payee.party, principal=payee.party),
                occurred_at=clock.now(),
            )
            records.append(
                _record(
                    event,
                    "payouts.commands.v1",
                    payee.party,
                    name=f"{run}-{payee.party}-{code}",
                    clock=clock,
                )
            )
    return records


def rail_of(payee: Payee, code: str) -> str:
    """ACH carries dollars alone; everything else goes to the payee's spending wallet."""
    return "ach" if code == "USD" and payee.ach_account is not None else "wallet"


def instrument_id(payee: Payee, code: str) -> str:
    """The same at every run: an instrument registered again is no news."""
    return derived_id("ins", "demo", payee.party, code)


def _spending_account(payee: Payee, code: str, tenant: str) -> AccountSpec:
    path = f"wallet/{payee.party}/spending/{code}"
    return AccountSpec(
        id=derived_id("acc", tenant, path),
        owner=payee.party,
        purpose="wallet",
        path=path,
        currency=code,
        guarded=True,
    )


def _registration(
    payee: Payee, code: str, details: dict[str, str], key: SealingKey, clock: Clock
) -> RegisterInstrument:
    rail, name = rail_of(payee, code), instrument_id(payee, code)
    return RegisterInstrument(
        instrument_id=name,
        rail=rail,
        owner=payee.party,
        currency=code,
        sealed=seal(details, key, instrument_id=name, rail=rail),
        who=_WHO,
        occurred_at=clock.now(),
    )


def _record(event: Event, topic: str, key: str, *, name: str, clock: Clock) -> Publication:
    event_id = str(derived_uuid("tally-demo", event.TYPE, name))
    return publication(
        event, topic=topic, key=key, event_id=event_id, source=CLI_SOURCE, clock=clock
    )
