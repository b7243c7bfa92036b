"""Faults of the wire: what the client sees, and that the bank did exactly what it says it did."""

import asyncio
import time

import asyncssh
import pytest

CUT = (asyncssh.SFTPConnectionLost, asyncssh.ConnectionLost, asyncssh.SFTPNoConnection)


async def test_drop_after_rename_did_the_work_though_the_client_saw_an_error(bank, nacha) -> None:
    bank.post("/faults", fault="drop_after_rename", times=1)
    content = nacha.pays(nacha.Pay())
    with pytest.raises(CUT):
        await bank.upload("pay.ach", content)
    assert "|accepted|" in await bank.fetch("pay.ach.ack")
    (again,) = await bank.pay("again.ach", content)
    assert again.endswith("|rejected|duplicate_file")
    assert len(bank.states()) == 1


async def test_drop_before_rename_did_nothing_and_the_upload_can_be_repeated(bank, nacha) -> None:
    bank.post("/faults", fault="drop_before_rename", times=1)
    content = nacha.pays(nacha.Pay())
    with pytest.raises(CUT):
        await bank.upload("pay.ach", content)
    assert bank.get("/files")["uploads"] == []
    lines = await bank.pay("pay.ach", content)
    assert lines[1:] == ["BATCH|1|accepted|"]


async def test_drop_on_write_leaves_a_part_that_is_never_read(bank, nacha) -> None:
    bank.post("/faults", fault="drop_on_write", times=1)
    with pytest.raises(CUT):
        await bank.upload("pay.ach", nacha.pays(nacha.Pay()))
    async with bank.sftp() as client:
        assert await client.exists("/inbound/pay.ach.part")
    assert bank.get("/files")["uploads"] == []


async def test_out_of_space_refuses_the_write(bank, nacha) -> None:
    bank.post("/faults", fault="out_of_space", times=1)
    content = nacha.pays(nacha.Pay())
    with pytest.raises(asyncssh.SFTPFailure, match="no space left"):
        await bank.upload("pay.ach", content)
    assert (await bank.pay("pay.ach", content))[1:] == ["BATCH|1|accepted|"]


async def test_refused_login_ends_when_the_fault_does(bank) -> None:
    bank.post("/faults", fault="refuse_login", times=1)
    with pytest.raises(asyncssh.PermissionDenied):
        async with bank.sftp():
            pytest.fail("the login was to be refused")
    async with bank.sftp() as client:
        assert sorted(await client.listdir("/")) == [".", "..", "inbound", "outbound"]


async def test_hanging_read_hangs_until_the_client_gives_up(bank, nacha) -> None:
    await bank.pay("pay.ach", nacha.pays(nacha.Pay()))
    bank.post("/faults", fault="hang_on_read", times=1)
    async with bank.sftp() as client:
        stream = await client.open("/outbound/pay.ach.ack", "rb")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await stream.read()
    assert "|accepted|" in await bank.fetch("pay.ach.ack")


async def test_slow_bank_delays_and_still_does_the_work(bank, nacha) -> None:
    bank.post("/faults", fault="slow", milliseconds=150)
    started = time.monotonic()
    lines = await bank.pay("pay.ach", nacha.pays(nacha.Pay()))
    assert time.monotonic() - started > 0.6
    assert lines[1:] == ["BATCH|1|accepted|"]


async def test_faults_are_listed_and_cleared(bank) -> None:
    bank.post("/faults", fault="slow", milliseconds=1, chance_bp=5)
    assert [fault["fault"] for fault in bank.get("/faults")["faults"]] == ["slow"]
    bank.call("DELETE", "/faults")
    assert bank.get("/faults")["faults"] == []


async def test_lost_acknowledgement_comes_when_asked_for(bank, nacha) -> None:
    bank.post("/rules", behaviour="lose_ack", times=1)
    await bank.upload("pay.ach", nacha.pays(nacha.Pay()))
    # The acknowledgement of a later file shows that this one has been dealt with.
    await bank.pay("next.ach", nacha.file(nacha.Batch((nacha.Pay(seq=2),))))
    assert list(await bank.outbound()) == ["next.ach.ack"]
    upload, _ = bank.get("/files")["uploads"]
    assert bank.get("/files")["outbound"][0]["state"] == "withheld"
    assert bank.post(f"/files/{upload['upload_id']}/redeliver") == {"name": "pay.ach.ack"}
    assert "|accepted|" in await bank.fetch("pay.ach.ack")


async def test_originator_can_write_only_parts_and_read_only_outbound(bank, nacha) -> None:
    content = nacha.pays(nacha.Pay())
    await bank.pay("pay.ach", content)
    async with bank.sftp() as client:
        for path in ("/inbound/direct.ach", "/outbound/x.part", "/x.part", "/../x.part"):
            with pytest.raises(asyncssh.SFTPPermissionDenied):
                await client.open(path, "wb")
        async with client.open("/inbound/up.ach.part", "wb") as stream:
            await stream.write(content)
        for target in ("/outbound/up.ach", "/inbound/a/b", "/inbound/up x", "/inbound/u.part"):
            with pytest.raises(asyncssh.SFTPPermissionDenied):
                await client.rename("/inbound/up.ach.part", target)
        for refused in (
            client.open("/inbound/up.ach.part", "rb"),
            client.mkdir("/new"),
            client.rmdir("/outbound"),
            client.symlink("/outbound", "/inbound/link"),
            client.link("/outbound/pay.ach.ack", "/outbound/copy"),
            client.rename("/outbound/pay.ach.ack", "/outbound/moved"),
        ):
            with pytest.raises(asyncssh.SFTPPermissionDenied):
                await refused
        await client.remove("/inbound/up.ach.part")
        await client.remove("/outbound/pay.ach.ack")
        assert not await client.exists("/outbound/pay.ach.ack")


async def test_wrong_password_and_unknown_user_stay_out(bank) -> None:
    for login in ({"password": "wrong"}, {"username": "nobody"}):
        with pytest.raises(asyncssh.PermissionDenied):
            async with bank.sftp(**login):
                pytest.fail("the login was to be refused")


async def test_authorized_key_logs_in_and_a_stranger_does_not(new_bank, tmp_path) -> None:
    key, stranger = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    keys = tmp_path / "authorized"
    keys.write_bytes(key.export_public_key())
    bank = new_bank("--authorized-keys", str(keys))
    async with bank.sftp(password=None, client_keys=[key]) as client:
        assert await client.exists("/inbound")
    with pytest.raises(asyncssh.PermissionDenied):
        async with bank.sftp(password=None, client_keys=[stranger]):
            pytest.fail("the login was to be refused")
