"""Reads: what portfolio is asked for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, StringConstraints, create_model

from tally_contracts.base import AssetCode, Slug, Token, TypeId, UtcTime
from tally_gateway.api.behind import passed_on
from tally_gateway.api.events import Names
from tally_gateway.api.model import Answer, Document, Gateway, Operation, Query, Route

PAGE_MAX: Final = 200

OpaqueCursor = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[!-~]+$")]


class Page(Document):
    """A page of a list; `next` is the cursor of the page after, null on the last."""

    items: list[dict[str, Any]]
    next: str | None


class One(Document):
    """One thing, its fields as the caller may see them."""


class Paged(Query):
    """What is told in pages takes."""

    limit: int = Field(default=50, ge=1, le=PAGE_MAX)
    cursor: OpaqueCursor | None = Field(default=None, description="`next` of the page before")


class Spanned(Paged):
    """What a statement takes: no fields, since its bytes are fixed."""


class Sparse(Query):
    """What every other read takes."""

    fields: Names | None = Field(default=None, description="only these fields, with commas")


class Seated(Sparse):
    """What is looked at from a seat."""

    under: Token | None = Field(
        default=None, description="look from the seat of this party of the caller's sub-tree"
    )


class SparsePaged(Paged, Sparse):
    """What one thing takes that is told in pages."""


class Listed(SparsePaged):
    """What a list of one thing takes."""


class ListedSeated(Listed, Seated):
    """What a list of a sub-tree takes."""


_FILTERS: Final[Mapping[str, Any]] = {
    "currency": AssetCode,
    "purpose": Slug,
    "state": Slug,
    "source": Slug,
    "rail": Slug,
    "kind": Slug,
    "program_id": TypeId,
    "holder": Token,
    "from": UtcTime,
    "until": UtcTime,
    "at": UtcTime,
}
_EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "wallets": {
        "id": "wal_01h455vb4pex5vsknk084sn02q",
        "currency": "EUR",
        "available": {"currency": "EUR", "amount": "120.00"},
    },
    "wallet_statement": {
        "next": None,
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "statement": {
            "form": 1,
            "currency": "EUR",
            "from": "2026-03-01T00:00:00Z",
            "until": "2026-04-01T00:00:00Z",
            "opening": {"posted": {"currency": "EUR", "amount": "0.00"}},
            "closing": {"posted": {"currency": "EUR", "amount": "0.00"}},
            "entries": [],
        },
    },
    "payments": {"id": "pin_01h455vb4pex5vsknk084sn02q", "state": "allocated"},
    "parties": {"id": "party_01h455vb4pex5vsknk084sn02q", "kind": "payee"},
    "event": {
        "event": "order:7",
        "payments": [],
        "designations": [],
        "wallets": [],
        "more": False,
        "next": None,
    },
    "receivable": {
        "receivable_id": "rcv_01h455vb4pex5vsknk084sn02q",
        "state": "open",
        "amount": {"currency": "EUR", "amount": "40.00"},
        "open_amount": {"currency": "EUR", "amount": "25.00"},
    },
    "agreement": {
        "agreement_id": "agr_01h455vb4pex5vsknk084sn02q",
        "state": "funded",
        "held": {"currency": "EUR", "amount": "80.00"},
    },
    "claim": {"claim_id": "clm_01h455vb4pex5vsknk084sn02q", "state": "issued"},
    "designation": {
        "movement_id": "mov_01h455vb4pex5vsknk084sn02q",
        "state": "moved",
        "reason_code": "claimed",
        "amounts": [{"currency": "EUR", "amount": "9.00"}],
    },
    "charge": {
        "charge_id": "chg_01h455vb4pex5vsknk084sn02q",
        "state": "taken",
        "amount": {"currency": "EUR", "amount": "1.00"},
    },
    "expectation": {
        "expectation_id": "exp_01h455vb4pex5vsknk084sn02q",
        "state": "part_paid",
        "received": {"currency": "EUR", "amount": "60.00"},
    },
    "entry": {"entry_id": "ent_01h455vb4pex5vsknk084sn02q", "state": "proposed"},
    "program": {"program_id": "prog_01h455vb4pex5vsknk084sn02q", "program": "spring-rebates"},
    "policy": {"program_id": "prog_01h455vb4pex5vsknk084sn02q", "version": 3},
    "fees": {"program_id": "prog_01h455vb4pex5vsknk084sn02q", "version": 1},
    "funding_order": {"program_id": "prog_01h455vb4pex5vsknk084sn02q", "version": 1},
    "budget": {
        "budget_id": "bud_01h455vb4pex5vsknk084sn02q",
        "tier": 2,
        "limit": {"currency": "EUR", "amount": "300.00"},
        "available": {"currency": "EUR", "amount": "150.00"},
        "below": {"available": {"currency": "EUR", "amount": "220.00"}},
    },
    "payable": {"payable_id": "pbl_01h455vb4pex5vsknk084sn02q", "state": "part_paid"},
    "program_payment": {"payment_id": "pay_01h455vb4pex5vsknk084sn02q", "state": "approved"},
    "budget_claim": {"claim_id": "clm_01h455vb4pex5vsknk084sn02q", "state": "submitted"},
    "connection": {
        "connection_id": "conn_01h455vb4pex5vsknk084sn02q",
        "access": "view",
        "state": "accepted",
    },
    "grant": {
        "grant_id": "grant_01h455vb4pex5vsknk084sn02q",
        "fields": ["balance", "status"],
        "state": "given",
    },
    "funding_detail": {"virtual_account": "RF18539007547034", "currency": "EUR"},
    "rule": {"rule_id": "rule_01h455vb4pex5vsknk084sn02q", "state": "published", "version": 2},
}


@dataclass(frozen=True, slots=True)
class Read:
    """A read of portfolio: its address there, and what it takes."""

    path: str
    name: str
    summary: str
    tag: str
    takes: type[Query]
    filters: tuple[str, ...] = ()
    slashes: bool = False

    @property
    def is_list(self) -> bool:
        """Whether it answers with items."""
        return issubclass(self.takes, Listed) or self.name == "totals"


PROGRAMS: Final = "programs"


@dataclass(frozen=True, slots=True)
class Shelf:
    """A kind of thing that portfolio lists, and shows one by one with what led to its state."""

    kind: str
    path: str
    summary: str
    tag: str = "payments"
    filters: tuple[str, ...] = ("state",)

    def reads(self) -> tuple[Read, Read]:
        """The list, and one thing of it."""
        one = f"One of these, with its history: {self.summary[0].lower()}{self.summary[1:]}"
        return (
            Read(
                self.path, f"{self.kind}_list", self.summary, self.tag, ListedSeated, self.filters
            ),
            Read(f"{self.path}/{{id}}", f"{self.kind}_get", one, self.tag, Sparse),
        )


SHELVES: Final = (
    Shelf("receivable", "/receivables", "What owners owe after refunds and chargebacks"),
    Shelf("agreement", "/agreements", "Escrow agreements and what they hold"),
    Shelf("claim", "/claims", "Claims of money for payees nobody knew yet"),
    Shelf("designation", "/designations", "Money of unknown payees that was given another owner"),
    Shelf("charge", "/charges", "What rules charged beside pay-ins"),
    Shelf("expectation", "/expectations", "Money that is expected, and what came of it"),
    Shelf("entry", "/pay-in-entries", "Pay-ins entered by hand"),
    Shelf("rule", "/rules", "Allocation rules by their newest version"),
    Shelf(
        "connection",
        "/connections",
        "What parties may do with each other's accounts, invited, accepted or revoked",
        "parties",
    ),
    Shelf("grant", "/grants", "Who may see which fields of which wallet", "wallets"),
    Shelf(
        "funding_detail",
        "/funding-details",
        "Virtual accounts that parties are paid on, by currency",
        "parties",
        (),
    ),
    Shelf(
        "program", "/programs", "Programs, of a company or with a budget of one's own", PROGRAMS, ()
    ),
    Shelf(
        "budget",
        "/budgets",
        "What each tier has, gave on, set aside and spent",
        PROGRAMS,
        ("program_id", "holder"),
    ),
    Shelf(
        "payable",
        "/payables",
        "Invoices and purchase orders: open, part-paid, paid, over-paid",
        PROGRAMS,
        ("state", "program_id"),
    ),
    Shelf(
        "program_payment",
        "/program-payments",
        "Payments out of budgets, with who approved them",
        PROGRAMS,
        ("state", "program_id"),
    ),
    Shelf(
        "budget_claim",
        "/budget-claims",
        "Claims of parts of budgets",
        PROGRAMS,
        ("state", "program_id"),
    ),
)
"""Things whose state facts tell whole."""

READS: Final = (
    Read(
        "/wallets",
        "wallet_list",
        "Wallets with their balances",
        "wallets",
        ListedSeated,
        ("currency", "purpose"),
    ),
    Read("/wallets/{id}", "wallet_get", "A wallet with its balance", "wallets", Sparse),
    Read(
        "/wallets/{id}/movements",
        "wallet_movements",
        "Who, what, when, where and why of each movement, newest first",
        "wallets",
        Listed,
        ("from", "until"),
    ),
    Read(
        "/wallets/{id}/statement",
        "wallet_statement",
        "A statement of a settled span, in parts: the same bytes whenever it is asked for",
        "wallets",
        Spanned,
        ("at", "from", "until"),
    ),
    Read(
        "/payments",
        "payment_list",
        "Pay-ins with their payouts, and withdrawals",
        "payments",
        ListedSeated,
    ),
    Read("/payments/{id}", "payment_get", "A payment with its time line", "payments", Sparse),
    Read(
        "/pay-ins",
        "pay_in_list",
        "Money that came in",
        "payments",
        ListedSeated,
        ("state", "source"),
    ),
    Read("/pay-ins/{id}", "pay_in_get", "A pay-in", "payments", Sparse),
    Read(
        "/payouts",
        "payout_list",
        "Money that goes out",
        "payments",
        ListedSeated,
        ("state", "rail"),
    ),
    Read("/payouts/{id}", "payout_get", "A payout", "payments", Sparse),
    Read(
        "/exceptions",
        "exception_list",
        "What waits for a person, or failed",
        "payments",
        ListedSeated,
    ),
    Read("/parties", "party_list", "The caller's tree", "parties", ListedSeated, ("kind",)),
    Read("/parties/{id}", "party_get", "A party", "parties", Sparse),
    Read("/totals", "totals", "Received, committed, paid, held, resting", "payments", Seated),
    Read(
        "/events/{id}/money",
        "event_money",
        "What was paid in for an event, whose wallets hold it, and the payouts from there",
        "payments",
        SparsePaged,
        slashes=True,
    ),
    *(read for shelf in SHELVES for read in shelf.reads()),
    Read(
        "/programs/{id}/policies",
        "policy_list",
        "A program's policies by version, the newest first",
        PROGRAMS,
        Listed,
    ),
    Read(
        "/programs/{id}/fees",
        "fees_list",
        "A program's fee schedules by version, the newest first",
        PROGRAMS,
        Listed,
    ),
    Read(
        "/programs/{id}/funding-orders",
        "funding_order_list",
        "Which wallets fund a program in which order, by version, the newest first",
        PROGRAMS,
        Listed,
    ),
)
"""What portfolio is asked for."""


def operations(gateway: Gateway) -> Iterator[Route]:
    """Every read."""
    for each in READS:
        fields: dict[str, Any] = {
            f"{name}_": (_FILTERS[name] | None, Field(None, alias=name)) for name in each.filters
        }
        query: type[BaseModel] = create_model(f"{each.name}_query", __base__=each.takes, **fields)
        named = (each.name, each.name.rpartition("_")[0], each.tag)
        example = dict(next((_EXAMPLES[one] for one in named if one in _EXAMPLES), {}))
        operation = Operation(
            method="GET",
            path=f"/v1{each.path}",
            name=each.name,
            summary=each.summary,
            tag=each.tag,
            scope=f"{each.tag}:read",
            query=query,
            answers={
                200: Answer("A page", Page, {"items": [example], "next": None})
                if each.is_list
                else Answer("As it stands", One, example)
            },
            problems=("not_found",),
            slashes=each.slashes,
        )
        yield (
            operation,
            passed_on(gateway, gateway.reads, each.path, scope=f"{each.tag}:read", query=query),
        )
