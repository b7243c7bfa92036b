"""Random commands by random parties: what is read from the database decides as all of it would.

The same commands are decided batch by batch over the database, and one by one over a world that was
never stored. Both must tell the same; whatever a batch fails to read or save shows as a difference.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tally_contracts import directory as asked
from tally_contracts.directory_facts import DirectoryCommandRefused, VerificationStarted
from tally_directory.books import Books
from tally_directory.desk import Told
from tally_directory.domain.bonds import EVERY_TENANT
from tally_directory.domain.world import Shelf, World
from tally_directory.handlers import build_router
from tally_directory.service import Directory
from tally_money import iso_currencies
from tally_runtime import derived_id

CODE = 7
ROOTS = ("agg", "agg2")
PARTIES = (*ROOTS, *(f"p{n}" for n in range(9)))
ACTORS = ("key_1", "key_2", *(derived_id("person", "test", f"h{n}") for n in range(3)))
ROLES = ("owner", "admin", "approver", "viewer")
RELATIONS = ("supplier", "carrier")
MAILS = tuple(f"m{n}@example.com" for n in range(4))


def tid(prefix: str, name: str) -> str:
    return derived_id(prefix, "test", name)


class Asking:
    """Makes commands of every type about a handful of things, so that they meet."""

    world: World

    def __init__(self, bench: Any, seed: int) -> None:
        self.bench = bench
        self.random = random.Random(seed)
        self.makers: tuple[Callable[[], tuple[type[Any], dict[str, Any]]], ...] = (
            self.register, self.register, self.register, self.move, self.merge, self.define,
            self.relate, self.invite, self.invite, self.accept, self.accept, self.revoke,
            self.assign, self.remove_role, self.add_contact, self.add_contact, self.remove_contact,
            self.start, self.start, self.confirm, self.confirm, self.confirm, self.open_wallet,
            self.open_wallet, self.grant, self.grant, self.replace_fields, self.revoke_grant,
            self.log_view, self.issue, self.consent, self.member, self.propose, self.decide, self.decide,
        )  # fmt: skip

    def party(self) -> str:
        return tid("party", self.random.choice(PARTIES))

    def one(self, prefix: str, number: int = 4) -> str:
        return tid(prefix, str(self.random.randrange(number)))

    def next(self, world: World) -> Any:
        """A command, or money for somebody; as a rule in the right tenant."""
        if self.random.random() < 0.08:
            token = self.bench.token(self.random.choice(MAILS))
            owner = self.random.choice((f"contact:{token}", self.party(), "event:1", "vendor-7"))
            return self.bench.pay_in(owner, company=self.party())
        self.world = world
        model, fields = self.random.choice(self.makers)()
        mighty = ("operator", "operator", "agg", "agg", "agg2")
        anybody = self.random.choice(mighty if self.random.random() < 0.7 else PARTIES)
        by = fields.pop("by", anybody)
        about = fields.get("party_id", tid("party", by))
        found = world.find_party(about if by == "operator" else tid("party", by))
        root = self.random.choice(ROOTS)
        tenant = tid("party", root) if found is None else found.tenant
        if fields.get("parent", "") is None:
            tenant = fields["party_id"]
        if self.random.random() < 0.04:
            tenant = tid("party", root)
        actor = self.random.choice(ACTORS[:2] if self.random.random() < 0.7 else ACTORS)
        # What is sealed is sealed for a tenant, a few times for the wrong one.
        sealed_for = tenant if self.random.random() < 0.9 else tid("party", root)
        fields = {
            name: value(sealed_for) if callable(value) else value for name, value in fields.items()
        }
        return self.bench.command(model, by=by, actor=actor, **{"tenant": tenant, **fields})

    def plant(self) -> list[Any]:
        """Two trees to begin with."""
        kinds = ("company", "partner", "payee", "payee", "payee", "company", "payee", "group")
        roots = [
            self.bench.register(root, "aggregator", None, tenant=tid("party", root))
            for root in ROOTS
        ]
        rest = [
            self.bench.register(f"p{n}", kind, ROOTS[n // 5], tenant=tid("party", ROOTS[n // 5]))
            for n, kind in enumerate(kinds)
        ]
        return [*roots, *rest]

    def register(self) -> Any:
        name = self.random.choice(PARTIES)
        if name in ROOTS:
            fields = {"kind": "aggregator", "parent": None}
        else:
            kinds = ("company", "company", "partner", "payee", "payee", "payee", "group")
            fields = {"kind": self.random.choice(kinds), "parent": self.party()}
        external_id = self.random.choice((None, "x1", "x2"))
        return asked.RegisterParty, {
            "party_id": tid("party", name), "external_id": external_id, **fields
        }  # fmt: skip

    def move(self) -> Any:
        return asked.MoveParty, {"party_id": self.party(), "parent": self.party()}

    def merge(self) -> Any:
        return asked.MergeParties, {
            "approval_id": self.one("appr"), "kept": self.party(), "merged": self.party()
        }  # fmt: skip

    def define(self) -> Any:
        return asked.DefineRelationType, {"relation": "carrier", "label": "Carrier"}

    def relate(self) -> Any:
        company = self.random.choice((None, self.party()))
        relation = self.random.choice(RELATIONS)
        return asked.SetRelation, {
            "party": self.party(), "other": self.party(), "relation": relation, "company": company
        }  # fmt: skip

    def invite(self) -> Any:
        access = self.random.choice(("pay", "view", "manage", "manage"))
        return asked.InviteConnection, {
            "connection_id": self.one("conn", 8), "from_party": self.party(),
            "to_party": self.party(), "access": access,
        }  # fmt: skip

    def accept(self) -> Any:
        return asked.AcceptConnection, {"connection_id": self.one("conn", 8)}

    def revoke(self) -> Any:
        return asked.RevokeConnection, {"connection_id": self.one("conn", 8)}

    def assign(self) -> Any:
        person = self.random.choice(ACTORS)
        role = self.random.choice(ROLES)
        return asked.AssignRole, {
            "party_id": self.party(),
            "person": person if person.startswith("person_") else self.one("key"),
            "role": role,
        }

    def remove_role(self) -> Any:
        return asked.RemoveRole, {
            "party_id": self.party(), "person": self.random.choice(ACTORS[2:]),
            "role": self.random.choice(ROLES), "approval_id": self.one("appr"),
        }  # fmt: skip

    def add_contact(self) -> Any:
        name, mail = str(self.random.randrange(8)), self.random.choice(MAILS)
        return asked.AddContact, {
            "contact_id": tid("contact", name), "party_id": self.party(), "channel": "email",
            "sealed": lambda tenant: self.bench.seal_contact(name, mail, tenant_id=tenant),
        }  # fmt: skip

    def remove_contact(self) -> Any:
        return asked.RemoveContact, {"contact_id": self.one("contact", 40)}

    def start(self) -> Any:
        return asked.StartVerification, {
            "verification_id": self.one("verif", 8), "contact_id": self.one("contact", 8)
        }  # fmt: skip

    def confirm(self) -> Any:
        code = f"{self.random.choice((CODE, CODE, CODE + 1)):08d}"
        name = str(self.random.randrange(8))
        return asked.ConfirmVerification, {
            "verification_id": tid("verif", name),
            "sealed_code": lambda tenant: self.bench.seal_code(name, code, tenant_id=tenant),
        }

    def open_wallet(self) -> Any:
        company = self.random.choice((None, self.party()))
        return asked.OpenWallet, {
            "wallet_id": self.one("wal", 8), "owner": self.party(), "company": company,
            "currency": self.random.choice(("USD", "USD", "EUR", "POINTS")),
            "purpose": self.random.choice(("default", "default", "travel")),
        }  # fmt: skip

    def grant(self) -> Any:
        return asked.SetGrant, {
            "grant_id": self.one("grant"), "wallet": self.one("wal", 8), "to_party": self.party(),
            "fields": (self.random.choice(("balance", "status", "pin")),),
        }  # fmt: skip

    def replace_fields(self) -> Any:
        return asked.ReplaceGrantFields, {
            "grant_id": self.one("grant"),
            "fields": (self.random.choice(("balance", "history", "pin")),),
        }

    def revoke_grant(self) -> Any:
        return asked.RevokeGrant, {"grant_id": self.one("grant")}

    def log_view(self) -> Any:
        known = sorted(self.world.grants.values(), key=lambda grant: grant.grant_id)
        grant = self.random.choice(known) if known else None
        view = asked.View(
            grant_id=self.one("grant") if grant is None else grant.grant_id,
            wallet=self.one("wal", 8) if grant is None else grant.wallet,
            viewer=self.party() if grant is None else grant.to_party,
            actor="key_1",
            fields=("status",),
            viewed_at=self.bench.clock.now(),
        )
        return asked.LogViews, {"views": (view,), "by": self.random.choice(("operator", "agg"))}

    def issue(self) -> Any:
        currency = self.random.choice(("USD", "EUR", "POINTS"))
        return asked.IssueFundingDetails, {"party_id": self.party(), "currency": currency}

    def consent(self) -> Any:
        model = self.random.choice((asked.GiveConsent, asked.WithdrawConsent))
        name = self.random.choice(PARTIES[2:])
        by = self.random.choice((name, name, "agg"))
        return model, {"party_id": tid("party", name), "company": self.party(), "by": by}

    def member(self) -> Any:
        member = self.random.random() < 0.6
        return asked.SetGroupMember, {
            "group": tid("party", "p7"), "party": self.party(), "member": member
        }  # fmt: skip

    def propose(self) -> Any:
        return asked.ProposeAct, {
            "approval_id": self.one("appr"), "party_id": self.party(), "act": "manual_entry",
            "subject": "entry-1", "content_digest": "d",
        }  # fmt: skip

    def decide(self) -> Any:
        approve = self.random.random() < 0.7
        return asked.DecideApproval, {"approval_id": self.one("appr"), "approve": approve}


def lines(told: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    """Events as they are compared: what is sealed looks different each time."""
    hidden = {"sealed_message"}
    return [
        (
            event.TYPE,
            event.model_dump(exclude=hidden if event.TYPE == VerificationStarted.TYPE else set()),
        )
        for event in told
    ]


@pytest.fixture
def deciding(directory: Any) -> tuple[Any, Directory, World]:
    """The directory over its database, and one over a world that is never stored."""
    vault = replace(directory.vault, draw=lambda _: CODE)
    service = Directory(Books("main", "main"), vault)
    directory.processor = replace(directory.processor, router=build_router(service))
    types = ("supplier", "customer", "affiliate", "franchisee", "reseller", "distributor")
    world = World(
        relation_types=Shelf({(EVERY_TENANT, name): name.capitalize() for name in types}),
        currencies=frozenset(iso_currencies()),
    )
    return directory, service, world


@pytest.mark.parametrize("seed", range(3))
async def test_what_a_batch_reads_decides_as_all_that_is_known_would(
    deciding: tuple[Any, Directory, World], seed: int
) -> None:
    bench, service, world = deciding
    asking = Asking(bench, seed)
    seen: Counter[str] = Counter()
    for turn in range(150):
        events: list[Any] = []
        expected: list[Any] = []
        planned = asking.plant() if turn == 0 else []
        for _ in range(len(planned) or asking.random.choice((1, 2, 3, 20))):
            event = planned.pop(0) if planned else asking.next(world)
            told: list[Told] = (
                list(service.decide(world, event, bench.clock.now()))
                if isinstance(event, asked.DirectoryCommand)
                else list(service.arrive(world, event, bench.clock.now()))
            )
            events.append(event)
            expected += [one.event for one in told]
        found = await bench.send(*events)
        assert lines(found) == lines(expected)
        seen.update(
            event.code if isinstance(event, DirectoryCommandRefused) else event.TYPE
            for event in found
        )
        bench.clock.advance(timedelta(minutes=2))
    assert await bench.rows("SELECT code FROM quarantine") == []
    done = {name for name in seen if "." in name}
    refused = set(seen) - done
    assert len(done) >= 20, f"the commands hardly meet: {sorted(done)}"
    assert len(refused) >= 20, f"the commands hardly miss: {sorted(refused)}"
