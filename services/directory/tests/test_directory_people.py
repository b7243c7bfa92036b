"""Contacts, verification and payees found to be one; connections, roles, consents, approvals."""

from datetime import timedelta
from typing import Any

import pytest

from tally_contracts import directory as asked
from tally_contracts.directory_facts import (
    ApprovalDecided,
    ApprovalProposed,
    CommandRepeated,
    ConnectionChanged,
    ConsentGiven,
    ContactAdded,
    ContactAlarmRaised,
    ContactRemoved,
    ContactVerified,
    PartiesMerged,
    ReferenceClaimed,
    RoleAssigned,
    RoleRemoved,
    VerificationStarted,
)
from tally_directory.watch import DirectoryMetrics, StandingWatch
from tally_runtime import Metrics, derived_id

MAIL = "Ann.Lee@example.com"


def tid(prefix: str, name: str) -> str:
    return derived_id(prefix, "test", name)


def pid(name: str) -> str:
    return tid("party", name)


def person(name: str) -> str:
    return tid("person", name)


# Contacts


async def test_a_contact_is_told_as_a_token_and_kept_sealed(planted: Any) -> None:
    (added,) = await planted.send(planted.add_contact("ann", MAIL))
    assert isinstance(added, ContactAdded)
    assert (added.contact, added.channel, added.verified) == (
        planted.token(MAIL.lower()),
        "email",
        False,
    )


async def test_no_address_and_no_code_stands_in_clear_in_a_table_an_event_or_a_log(
    planted: Any, logged: list[dict[str, Any]]
) -> None:
    name = "ann:" + MAIL
    phone = planted.add_contact("ann", "+49 30 901820", "phone")
    told = await planted.send(
        planted.add_contact("ann", MAIL),
        phone,
        planted.add_contact("sam", "broken.lee@", name="broken"),
        planted.start("v", name),
    )
    code = planted.message(told[-1])["code"]
    wrong = f"{(int(code) + 1) % 10**8:08d}"
    told += await planted.send(planted.confirm("v", wrong), planted.confirm("v", code))
    swapped = phone.model_copy(
        update={"command_id": tid("cmd", "x"), "contact_id": tid("contact", "x")}
    )
    told += await planted.send(swapped)
    assert [event.code for event in told if hasattr(event, "code")] == [
        "email_invalid",
        "code_wrong",
        "seal_broken",
    ]
    tables = ("contact", "verification", "command", "outbox", "inbox", "quarantine")
    texts = [
        str(row) for table in tables for row in await planted.rows(f"SELECT t::text FROM {table} t")
    ]
    assert "command_refused" in {line["event"] for line in logged}
    texts += [str(line) for line in logged]
    # A time or an id may hold the digits of the code by chance, an address holds more than digits.
    planted_words = ("example.com", "ann.lee", "broken.lee", "901820", f'"{code}"', f"'{code}'")
    found = [word for word in planted_words for text in texts if word in text.lower()]
    assert found == []


async def test_a_sealed_value_moved_to_another_row_column_or_tenant_does_not_open(
    planted: Any,
) -> None:
    sealed = planted.seal_contact("other", MAIL)
    moved = planted.add_contact("ann", MAIL).model_copy(update={"sealed": sealed})
    assert await planted.refusal(moved) == ("seal_broken", "/sealed")
    sealed = planted.seal_contact("ann:" + MAIL, MAIL, "agg2")
    moved = planted.add_contact("ann", MAIL).model_copy(update={"sealed": sealed})
    assert await planted.refusal(moved) == ("seal_broken", "/sealed")
    await planted.send(
        planted.add_contact("ann", MAIL), planted.add_contact("sam", "s@example.com")
    )
    swap = "UPDATE contact SET sealed = (SELECT sealed FROM contact WHERE party_id = $1)"
    await planted.rows(f"{swap} WHERE party_id = $2 RETURNING 1", pid("sam"), pid("ann"))
    await planted.process(planted.record(planted.start("v", "ann:" + MAIL)))
    types = [sent.event.TYPE for sent in await planted.told()]
    assert types[-1] == "operations.record.quarantined.v1"
    assert VerificationStarted.TYPE not in types, "no code goes to an address of another row"
    assert await planted.rows("SELECT code FROM quarantine") == [("use_case_error",)]


@pytest.mark.parametrize(
    ("channel", "value", "expected"),
    [
        ("email", "nobody", ("email_invalid", "/sealed")),
        ("phone", "12", ("phone_invalid", "/sealed")),
        ("phone", "030 1234567", ("phone_invalid", "/sealed")),
        ("pigeon", "coop", ("unknown_channel", "/channel")),
    ],
)
async def test_what_nobody_can_be_reached_at_is_refused(
    planted: Any, channel: str, value: str, expected: tuple[str, str]
) -> None:
    assert await planted.refusal(planted.add_contact("ann", value, channel)) == expected


async def test_writings_of_one_number_are_one_contact_and_a_party_has_it_once(planted: Any) -> None:
    await planted.send(planted.add_contact("ann", "+49 30 901820", "phone"))
    again = planted.add_contact("ann", "+4930901820", "phone")
    assert await planted.refusal(again) == ("contact_known", "/sealed")
    (other,) = await planted.send(planted.add_contact("ann", MAIL))
    assert isinstance(other, ContactAdded), "a person has several contacts"


async def test_the_same_contact_sealed_anew_is_the_same_command(planted: Any) -> None:
    command = planted.add_contact("ann", MAIL)
    resealed = command.model_copy(update={"sealed": planted.seal_contact("ann:" + MAIL, MAIL)})
    assert command.sealed != resealed.sealed
    assert isinstance(await planted.answer(command), ContactAdded)
    assert isinstance(await planted.answer(resealed), CommandRepeated)
    other = planted.seal_contact("ann:" + MAIL, "else@example.com")
    changed = command.model_copy(update={"sealed": other})
    assert await planted.refusal(changed) == ("id_reused", "/command_id")


async def test_a_code_sent_to_the_contact_verifies_it(planted: Any) -> None:
    name = "ann:" + MAIL
    _, started = await planted.send(planted.add_contact("ann", MAIL), planted.start("v", name))
    assert isinstance(started, VerificationStarted)
    message = planted.message(started)
    assert message["address"] == "Ann.Lee@example.com"
    assert (
        await planted.rows("SELECT 1 FROM verification WHERE code_token = $1", message["code"])
        == []
    )
    verified, claimed = await planted.send(planted.confirm("v", message["code"]))
    assert isinstance(verified, ContactVerified)
    assert isinstance(claimed, ReferenceClaimed)
    assert claimed.reference == f"contact:{planted.token(MAIL.lower())}"
    again = planted.confirm("v", message["code"])
    assert await planted.refusal(again) == ("code_used", "/verification_id")
    assert await planted.refusal(planted.start("v2", name)) == ("contact_verified", "/contact_id")


async def test_a_wrong_code_counts_and_after_five_even_the_right_one_is_too_late(
    planted: Any,
) -> None:
    name = "ann:" + MAIL
    _, started = await planted.send(planted.add_contact("ann", MAIL), planted.start("v", name))
    code = planted.message(started)["code"]
    wrong = f"{(int(code) + 1) % 10**8:08d}"
    for _ in range(5):
        (refused,) = await planted.send(planted.confirm("v", wrong))
        assert refused.code == "code_wrong"
    assert await planted.rows("SELECT attempts FROM verification") == [(5,)]
    assert await planted.refusal(planted.confirm("v", code)) == (
        "too_many_attempts",
        "/verification_id",
    )


async def test_a_code_is_good_for_a_quarter_of_an_hour(planted: Any) -> None:
    name = "ann:" + MAIL
    _, started = await planted.send(planted.add_contact("ann", MAIL), planted.start("v", name))
    planted.clock.advance(timedelta(minutes=15))
    late = planted.confirm("v", planted.message(started)["code"])
    assert await planted.refusal(late) == ("code_expired", "/verification_id")


async def test_five_codes_a_day_are_sent_to_a_contact(planted: Any) -> None:
    name = "ann:" + MAIL
    await planted.send(planted.add_contact("ann", MAIL))
    await planted.send(*(planted.start(f"v{n}", name) for n in range(5)))
    assert await planted.refusal(planted.start("v5", name)) == ("too_many_codes", "/contact_id")
    planted.clock.advance(timedelta(days=1))
    (started,) = await planted.send(planted.start("v6", name))
    assert isinstance(started, VerificationStarted)


async def test_a_contact_forgotten_is_gone_for_good(planted: Any) -> None:
    contact = {"contact_id": tid("contact", "ann:" + MAIL)}
    await planted.send(planted.add_contact("ann", MAIL))
    (removed,) = await planted.send(planted.command(asked.RemoveContact, **contact))
    assert isinstance(removed, ContactRemoved)
    assert await planted.rows("SELECT sealed FROM contact") == [(None,)]
    command = planted.command(asked.RemoveContact, **contact)
    assert await planted.refusal(command) == ("unknown_contact", "/contact_id")
    assert await planted.refusal(planted.start("v", "ann:" + MAIL)) == (
        "unknown_contact",
        "/contact_id",
    )
    (again,) = await planted.send(planted.add_contact("ann", MAIL, name="again"))
    assert isinstance(again, ContactAdded)


# About one payee, not two


async def test_f29_a_payee_that_money_made_is_absorbed_by_whoever_shows_the_contact(
    planted: Any,
) -> None:
    reference = f"contact:{planted.token(MAIL.lower())}"
    made, *_ = await planted.send(planted.pay_in(reference))
    verified, merged = await planted.verify("ann", MAIL)
    assert isinstance(verified, ContactVerified)
    assert isinstance(merged, PartiesMerged)
    assert (merged.party_id, merged.merged, merged.by) == (
        pid("ann"),
        made.party_id,
        "verified_contact",
    )
    later = await planted.send(planted.pay_in(reference))
    assert later == [], "the payee and its wallet are known"
    command = planted.command(asked.GiveConsent, party_id=made.party_id, company=pid("acme"))
    acting = command.model_copy(
        update={"who": command.who.model_copy(update={"principal": pid("ann")})}
    )
    (consent,) = await planted.send(acting)
    assert consent.party_id == pid("ann"), "the old id stands for the payee it went on as"


async def test_f29_two_payees_with_one_verified_contact_are_merged_by_two_people(
    planted: Any,
) -> None:
    await planted.verify("ann", MAIL)
    verified, proposed, _ = await planted.verify("bob", MAIL.upper(), by="bob", actor="key_of_bob")
    assert isinstance(verified, ContactVerified)
    assert isinstance(proposed, ApprovalProposed)
    assert (proposed.act, proposed.party_id, proposed.subject) == (
        "merge_parties",
        pid("ann"),
        pid("bob"),
    )

    def decide(by: str, actor: str) -> Any:
        return planted.command(
            asked.DecideApproval,
            approval_id=proposed.approval_id,
            approve=True,
            by=by,
            actor=actor,
        )

    assert await planted.refusal(decide("beta", "key_x")) == ("not_your_subtree", "/approval_id")
    decided, merged = await planted.send(decide("agg", "key_2"))
    assert isinstance(decided, ApprovalDecided)
    assert decided.approved
    assert isinstance(merged, PartiesMerged)
    assert (merged.party_id, merged.merged, merged.by) == (pid("ann"), pid("bob"), "approval")
    assert await planted.refusal(decide("agg", "key_2")) == ("approval_closed", "/approval_id")


async def test_f29_commands_about_a_merged_id_find_what_its_payee_has(planted: Any) -> None:
    merge = {"approval_id": tid("appr", "m"), "kept": pid("ann"), "merged": pid("sam")}
    decision = {"approval_id": tid("appr", "m"), "approve": True, "by": "agg"}
    shared = {"wallet": tid("wal", "w1"), "fields": ("status",)}
    await planted.send(
        planted.command(asked.MergeParties, **merge),
        planted.command(asked.DecideApproval, **decision),
        planted.open_wallet("w1", "bob"),
        planted.open_wallet("w2", "ann", purpose="default"),
        planted.add_contact("ann", MAIL),
        planted.command(asked.SetGrant, grant_id=tid("grant", "g"), to_party=pid("ann"), **shared),
    )
    again = planted.command(
        asked.SetGrant, grant_id=tid("grant", "h"), to_party=pid("sam"), **shared
    )
    assert await planted.refusal(again) == ("grant_exists", "/grant_id")
    assert await planted.refusal(planted.add_contact("sam", MAIL)) == ("contact_known", "/sealed")
    opened, _ = await planted.send(planted.open_wallet("w3", "sam", purpose="default"))
    assert opened.owner == pid("ann"), "money for the old id is in an account of its own"
    more = planted.open_wallet("w4", "sam", purpose="default")
    assert await planted.refusal(more) == ("wallet_exists", "/purpose")
    assert await planted.send(planted.pay_in(pid("sam"), pid("ann"))) == []


async def test_f28_who_stands_above_shows_a_payees_contact_and_gives_it_to_nobody(
    planted: Any,
) -> None:
    await planted.verify("ann", MAIL)
    name = f"bob:{MAIL}"
    *_, started = await planted.send(planted.add_contact("bob", MAIL), planted.start(name, name))
    code = planted.message(started)["code"]
    verified, alarm = await planted.send(planted.confirm(name, code, by="agg"))
    assert isinstance(verified, ContactVerified)
    assert isinstance(alarm, ContactAlarmRaised)
    assert await planted.rows("SELECT 1 FROM approval") == []


async def test_f29_across_tenants_the_same_person_is_found_too(planted: Any) -> None:
    await planted.verify("ann", MAIL)
    _, proposed, alarm = await planted.verify("zed", MAIL, "agg2")
    assert (proposed.tenant, proposed.subject) == (pid("agg"), pid("zed"))
    assert alarm.tenant == pid("agg")


async def test_f28_a_payee_that_money_made_is_taken_over_once_and_a_second_try_is_alarmed(
    planted: Any,
) -> None:
    reference = f"contact:{planted.token(MAIL.lower())}"
    made, *_ = await planted.send(planted.pay_in(reference))
    _, merged = await planted.verify("ann", MAIL)
    assert (merged.party_id, merged.merged) == (pid("ann"), made.party_id)
    # A company cannot be the same person: it gets nothing, and nobody is asked.
    verified, alarm = await planted.verify("acme", MAIL)
    assert isinstance(verified, ContactVerified)
    assert isinstance(alarm, ContactAlarmRaised)
    assert (alarm.party_id, alarm.attempted_by, alarm.code) == (
        pid("ann"),
        pid("acme"),
        "contact_taken",
    )
    assert await planted.send(planted.pay_in(reference)) == [], "the money is still the first one's"
    *_, again = await planted.verify("bob", MAIL, by="bob", actor="key_of_bob")
    assert (again.party_id, again.attempted_by) == (pid("ann"), pid("bob"))


async def test_a_merge_is_proposed_by_one_and_approved_by_another(planted: Any) -> None:
    def merge(name: str, kept: str = "ann", merged: str = "sam", by: str = "operator") -> Any:
        return planted.command(
            asked.MergeParties,
            approval_id=tid("appr", name),
            kept=pid(kept),
            merged=pid(merged),
            actor=f"key_of_{by}",
            **({} if by == "operator" else {"by": by}),
        )

    assert await planted.refusal(merge("m", merged="ann")) == ("same_party", "/merged")
    assert await planted.refusal(merge("m", merged="acme")) == ("kind_not_allowed", "/merged")
    assert await planted.refusal(merge("m", merged="nobody")) == ("unknown_party", "/merged")
    # The kept one may spend what the other has: nobody gives that away for it (F7).
    for above in ("beta", "acme", "agg", "ann"):
        assert await planted.refusal(merge("m", by=above)) == ("only_the_party", "/merged"), above
    (offered,) = await planted.send(merge("o", by="sam"))
    (proposed,) = await planted.send(merge("m"))
    assert isinstance(offered, ApprovalProposed)
    assert isinstance(proposed, ApprovalProposed)
    decision = {"approval_id": tid("appr", "m"), "approve": True, "by": "agg"}
    same = planted.command(asked.DecideApproval, **decision, actor="key_of_operator")
    assert await planted.refusal(same) == ("same_person", "/who/actor")
    told = await planted.send(planted.command(asked.DecideApproval, **decision, actor="key_two"))
    assert [type(event) for event in told] == [ApprovalDecided, PartiesMerged]


async def test_a_declined_merge_leaves_two(planted: Any) -> None:
    await planted.send(
        planted.command(
            asked.MergeParties, approval_id=tid("appr", "m"), kept=pid("ann"), merged=pid("sam")
        )
    )
    told = await planted.send(
        planted.command(asked.DecideApproval, approval_id=tid("appr", "m"), approve=False, by="agg")
    )
    assert [type(event) for event in told] == [ApprovalDecided]
    assert await planted.rows("SELECT 1 FROM party WHERE state = 'merged'") == []


async def test_what_waits_for_a_second_person_shows_in_the_gauges_with_its_age(
    planted: Any,
) -> None:
    metrics = Metrics("directory")
    watch = StandingWatch(DirectoryMetrics.of(metrics))

    async def measured() -> dict[str, float | None]:
        await watch.measure(planted.pool, planted.clock.now())
        names = ("approvals", "approval_age_seconds", "unclaimed_payees")
        labels = {"service": "directory"}
        return {
            name: metrics.registry.get_sample_value(f"tally_directory_{name}", labels)
            for name in names
        }

    assert set((await measured()).values()) == {0}
    merge = {"approval_id": tid("appr", "m"), "kept": pid("ann"), "merged": pid("sam")}
    await planted.send(
        planted.command(asked.MergeParties, **merge), planted.pay_in("contact:1", "contact:2")
    )
    planted.clock.advance(timedelta(hours=1))
    assert await measured() == {
        "approvals": 1,
        "approval_age_seconds": 3600,
        "unclaimed_payees": 2,
    }


async def test_an_act_of_another_service_gets_its_second_person_here(planted: Any) -> None:
    fields = {
        "approval_id": tid("appr", "entry"),
        "party_id": pid("acme"),
        "act": "manual_entry",
        "subject": "entry-7",
        "content_digest": "sha256:1",
        "by": "acme",
    }
    reserved = planted.command(asked.ProposeAct, **{**fields, "act": "merge_parties"})
    assert await planted.refusal(reserved) == ("act_reserved", "/act")
    (proposed,) = await planted.send(planted.command(asked.ProposeAct, **fields, actor="key_1"))
    assert (proposed.act, proposed.content_digest) == ("manual_entry", "sha256:1")
    (decided,) = await planted.send(
        planted.command(
            asked.DecideApproval,
            approval_id=fields["approval_id"],
            approve=True,
            by="acme",
            actor="key_2",
        )
    )
    assert (decided.proposed_by, decided.subject, decided.approved) == ("key_1", "entry-7", True)
    unknown = planted.command(asked.DecideApproval, approval_id=tid("appr", "x"), approve=True)
    assert await planted.refusal(unknown) == ("unknown_approval", "/approval_id")


# About connections


def invite(bench: Any, access: str, by: str = "beta", to: str = "acme", **more: Any) -> Any:
    fields = {
        "connection_id": tid("conn", f"{by}-{to}"),
        "from_party": pid(by),
        "to_party": pid(to),
        "access": access,
        "by": by,
        **more,
    }
    return bench.command(asked.InviteConnection, **fields)


async def test_f18_access_lasts_from_acceptance_to_revocation(planted: Any) -> None:
    connection = {"connection_id": tid("conn", "beta-acme")}
    enter = {"kind": "email", "value": "desk@example.com"}

    def reach(number: int) -> Any:
        value = f"{number}{enter['value']}"
        return planted.add_contact("acme", value, by="beta")

    foreign = ("not_your_subtree", "/party_id")
    assert await planted.refusal(reach(0)) == foreign
    (invited,) = await planted.send(invite(planted, "manage"))
    assert isinstance(invited, ConnectionChanged)
    assert (invited.state, invited.access) == ("invited", "manage")
    assert await planted.refusal(reach(1)) == foreign
    for other in ("beta", "agg", "operator"):
        by = {"principal": "operator"} if other == "operator" else {"by": other}
        for_it = planted.command(asked.AcceptConnection, **connection, **by)
        assert await planted.refusal(for_it) == ("only_the_party", "/connection_id"), other
    (accepted,) = await planted.send(
        planted.command(asked.AcceptConnection, **connection, by="acme")
    )
    assert accepted.state == "accepted"
    (added,) = await planted.send(reach(2))
    assert isinstance(added, ContactAdded)
    told = await planted.send(
        planted.command(asked.RevokeConnection, **connection, by="acme"), reach(3)
    )
    assert told[0].state == "revoked"
    assert told[1].code == "not_your_subtree", "revocation is immediate, within the batch"
    late = planted.command(asked.AcceptConnection, **connection, by="acme")
    assert await planted.refusal(late) == ("connection_revoked", "/connection_id")


@pytest.mark.parametrize(("access", "enough"), [("pay", False), ("view", False), ("manage", True)])
async def test_f18_each_level_allows_its_own_acts_and_no_more(
    planted: Any, access: str, enough: bool
) -> None:
    accept = planted.command(
        asked.AcceptConnection, connection_id=tid("conn", "beta-acme"), by="acme"
    )
    await planted.send(invite(planted, access), accept)
    (told,) = await planted.send(planted.add_contact("acme", MAIL, by="beta"))
    assert isinstance(told, ContactAdded) == enough
    below = planted.add_contact("shop", MAIL, by="beta")
    assert await planted.refusal(below) == ("not_your_subtree", "/party_id")
    moving = planted.command(asked.MoveParty, party_id=pid("shop"), parent=pid("beta"), by="beta")
    assert await planted.refusal(moving) == ("not_your_subtree", "/party_id")


async def test_f18_either_side_ends_a_connection_and_nobody_else(planted: Any) -> None:
    await planted.send(invite(planted, "view"))
    end = {"connection_id": tid("conn", "beta-acme")}
    stranger = planted.command(asked.RevokeConnection, **end, by="shop")
    assert await planted.refusal(stranger) == ("not_your_subtree", "/connection_id")
    (ended,) = await planted.send(planted.command(asked.RevokeConnection, **end, by="beta"))
    assert ended.state == "revoked"
    unknown = planted.command(asked.RevokeConnection, connection_id=tid("conn", "x"))
    assert await planted.refusal(unknown) == ("unknown_connection", "/connection_id")


async def test_a_connection_that_cannot_be_is_refused(planted: Any) -> None:
    assert await planted.refusal(invite(planted, "own")) == ("unknown_access", "/access")
    assert await planted.refusal(invite(planted, "pay", to="beta")) == ("same_party", "/to_party")
    assert await planted.refusal(invite(planted, "pay", to="x")) == ("unknown_party", "/to_party")
    assert await planted.refusal(invite(planted, "pay", from_party=pid("acme"))) == (
        "not_your_subtree",
        "/from_party",
    )


async def test_f18_a_company_connects_with_one_of_another_tenant(planted: Any) -> None:
    (invited,) = await planted.send(invite(planted, "pay", to="zed"))
    assert invited.tenant == pid("agg2")
    (accepted,) = await planted.send(
        planted.command(
            asked.AcceptConnection,
            connection_id=invited.connection_id,
            by="zed",
            tenant=pid("agg2"),
        )
    )
    assert accepted.state == "accepted"


# Roles and consent


def role(bench: Any, name: str, given: str = "admin", by: str = "acme", **more: Any) -> Any:
    fields = {"party_id": pid("acme"), "person": person(name), "role": given, "by": by, **more}
    return bench.command(asked.AssignRole, **fields)


def unrole(bench: Any, name: str, taken: str = "owner", **more: Any) -> Any:
    fields = {
        "party_id": pid("acme"),
        "person": person(name),
        "role": taken,
        "approval_id": tid("appr", name),
        "by": "acme",
        **more,
    }
    return bench.command(asked.RemoveRole, **fields)


@pytest.mark.parametrize(
    ("given", "may_manage", "may_staff"),
    [
        ("owner", True, True),
        ("admin", True, True),
        ("approver", False, False),
        ("viewer", False, False),
        (None, False, False),
    ],
)
async def test_f16_a_person_does_what_its_role_allows(
    planted: Any, given: str | None, may_manage: bool, may_staff: bool
) -> None:
    if given is not None:
        (assigned,) = await planted.send(role(planted, "joe", given))
        assert isinstance(assigned, RoleAssigned)
    joe = {"by": "acme", "actor": person("joe")}
    managed, staffed, owned = await planted.send(
        planted.add_contact("acme", MAIL, **joe),
        role(planted, "kim", "viewer", actor=person("joe")),
        role(planted, "kim", "owner", actor=person("joe")),
    )
    assert isinstance(managed, ContactAdded) == may_manage
    assert isinstance(staffed, RoleAssigned) == may_staff
    assert isinstance(owned, RoleAssigned) == (given == "owner")
    refused = [event for event in (managed, staffed, owned) if hasattr(event, "code")]
    assert {event.code for event in refused} <= {"role_too_low"}


async def test_a_role_above_counts_below_and_one_below_does_not_count_above(planted: Any) -> None:
    await planted.send(
        role(planted, "top", "admin", by="agg", party_id=pid("agg")), role(planted, "low", "admin")
    )
    below = planted.add_contact("shop", MAIL, by="shop", actor=person("top"))
    assert isinstance(await planted.answer(below), ContactAdded)
    above = planted.add_contact("shop", "x@example.com", by="agg", actor=person("low"))
    assert await planted.refusal(above) == ("role_too_low", "/who/actor")


async def test_an_owner_leaves_only_by_a_second_persons_word_and_never_as_the_last(
    planted: Any,
) -> None:
    await planted.send(role(planted, "one", "owner"))
    assert await planted.refusal(unrole(planted, "one")) == ("last_owner", "/person")
    await planted.send(role(planted, "two", "owner"))
    (proposed,) = await planted.send(unrole(planted, "one", actor=person("two")))
    assert isinstance(proposed, ApprovalProposed)
    assert (proposed.act, proposed.subject) == ("remove_owner", person("one"))
    decide = {"approval_id": tid("appr", "one"), "approve": True, "by": "acme"}
    same = planted.command(asked.DecideApproval, **decide, actor=person("two"))
    assert await planted.refusal(same) == ("same_person", "/who/actor")
    told = await planted.send(planted.command(asked.DecideApproval, **decide, actor=person("one")))
    assert [type(event) for event in told] == [ApprovalDecided, RoleRemoved]
    gone = planted.add_contact("acme", MAIL, by="acme", actor=person("one"))
    assert await planted.refusal(gone) == ("role_too_low", "/who/actor")


async def test_other_roles_are_taken_away_at_once(planted: Any) -> None:
    await planted.send(role(planted, "joe", "viewer"))
    (removed,) = await planted.send(unrole(planted, "joe", "viewer"))
    assert isinstance(removed, RoleRemoved)
    assert await planted.refusal(unrole(planted, "joe", "viewer")) == ("role_not_held", "/person")
    assert await planted.refusal(role(planted, "joe", "king")) == ("unknown_role", "/role")
    not_one = role(planted, "joe", person=tid("key", "joe"))
    assert await planted.refusal(not_one) == ("not_a_person", "/person")


async def test_f26_consent_is_the_payees_own_word(planted: Any) -> None:
    def give(by: str, company: str = "beta", party: str = "ann") -> Any:
        return planted.command(asked.GiveConsent, party_id=pid(party), company=pid(company), by=by)

    for other in ("acme", "agg", "beta", "operator"):
        assert await planted.refusal(give(other)) == ("only_the_party", "/party_id")
    assert await planted.refusal(give("ann", "sam")) == ("kind_not_allowed", "/company")
    (given,) = await planted.send(give("ann"))
    assert isinstance(given, ConsentGiven)
    (abroad,) = await planted.send(give("ann", "agg2"))
    assert abroad.company == pid("agg2"), "a payee is not bound to the tree that registered it"
    (withdrawn,) = await planted.send(
        planted.command(asked.WithdrawConsent, party_id=pid("ann"), company=pid("beta"), by="ann")
    )
    assert withdrawn.TYPE == "directory.consent.withdrawn.v1"
