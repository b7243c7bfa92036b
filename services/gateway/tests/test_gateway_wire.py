"""Questions to read APIs: one answer for each, over connections that are kept and may be lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import httpx
import pytest

from tally_gateway.wire import CONNECTIONS_MAX, asking
from tally_reads import ASKER_KEEPS_S

from .gateway_bench import Bench

TIMEOUT_S = 20
SMALL = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"


@dataclass
class Other:
    """The other side: answers each question with the path it asked for, or as it is told to."""

    port: int = 0
    connections: int = 0
    asked: list[str] = field(default_factory=list)
    answer: Callable[[str], bytes | None] = lambda path: SMALL % (len(path), path.encode())
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        while head := await _head(reader):
            path = head.split(" ")[1]
            self.asked.append(path)
            answer = self.answer(path)
            if answer is not None:
                writer.write(answer)
        writer.close()

    def hang_up(self) -> None:
        for writer in self.writers:
            writer.close()


async def _head(reader: asyncio.StreamReader) -> str:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, ConnectionError):
        return ""


@pytest.fixture
async def other() -> AsyncIterator[Other]:
    found = Other()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    found.hang_up()
    server.close()


@pytest.fixture
async def client(other: Other) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(f"http://127.0.0.1:{other.port}", TIMEOUT_S) as found:
        yield found


async def test_questions_one_after_the_other_share_a_connection(
    client: httpx.AsyncClient, other: Other
) -> None:
    for path in ("/one?a=b%20c", "/%2E%2E/two", "/a%2F..%2Fb"):
        answered = await client.get(path, headers={"Tally-Viewer": "x"})
        assert (answered.status_code, answered.text) == (200, path)
    assert other.connections == 1


async def test_an_idle_connection_is_kept_no_longer_than_read_apis_count_on(
    client: httpx.AsyncClient,
) -> None:
    await client.get("/one")
    connector = client._transport._open().connector  # type: ignore[attr-defined]
    assert connector._keepalive_timeout == ASKER_KEEPS_S


async def test_each_question_gets_its_own_answer_and_so_many_are_asked_at_a_time(
    client: httpx.AsyncClient, other: Other
) -> None:
    many = 2 * CONNECTIONS_MAX
    answers = await asyncio.gather(*(client.get(f"/{n}") for n in range(many)))
    assert [answer.text for answer in answers] == [f"/{n}" for n in range(many)]
    assert other.connections <= CONNECTIONS_MAX


async def test_a_question_is_asked_again_where_the_connection_was_lost_while_idle(
    client: httpx.AsyncClient, other: Other
) -> None:
    await client.get("/before")
    other.hang_up()
    assert (await client.get("/after")).text == "/after"
    assert other.connections == 2


async def test_a_question_whose_connection_is_lost_under_it_is_asked_once_more(
    client: httpx.AsyncClient, other: Other
) -> None:
    await client.get("/before")
    other.answer = lambda path: other.hang_up() if other.connections == 1 else SMALL % (2, b"ok")
    assert (await client.get("/after")).text == "ok"
    assert other.asked == ["/before", "/after", "/after"]


async def test_a_question_that_counts_is_asked_once_though_its_connection_is_lost(
    other: Other,
) -> None:
    async with asking(f"http://127.0.0.1:{other.port}", TIMEOUT_S, once=True) as once:
        await once.get("/before")
        assert (await once.get("/next")).text == "/next"
        assert other.connections == 2, "none is kept that could be lost while idle"
        other.answer = lambda _: other.hang_up()
        with pytest.raises(httpx.NetworkError):
            await once.get("/lost")
    assert other.asked == ["/before", "/next", "/lost"]


async def test_contacts_are_looked_at_once_though_the_connection_is_lost(
    bench: Bench, other: Other
) -> None:
    ann = await bench.register("ann", "payee")
    bench.gateway.contacts.base_url = f"http://127.0.0.1:{other.port}"
    other.answer = lambda _: other.hang_up()
    path = f"/v1/parties/{ann}/contacts"
    answered = await bench.get(path, await bench.key("ann"), purpose="To see")
    assert answered.status_code == 503
    assert len(other.asked) == 1


async def test_an_answer_that_was_given_up_is_nobody_elses(
    client: httpx.AsyncClient, other: Other
) -> None:
    await client.get("/before")
    asked = asyncio.Event()
    other.answer = lambda _: asked.set()
    given_up = asyncio.create_task(client.get("/slow"))
    await asked.wait()
    given_up.cancel()
    other.answer = lambda path: SMALL % (len(path), path.encode())
    assert (await client.get("/next")).text == "/next"
    assert other.connections == 2


async def test_no_answer_in_time_is_an_error_of_httpx(other: Other) -> None:
    other.answer = lambda _: None
    async with asking(f"http://127.0.0.1:{other.port}", 0.05) as hasty:
        with pytest.raises(httpx.ReadTimeout):
            await hasty.get("/slow")


async def test_what_is_no_answer_is_an_error_of_httpx(
    client: httpx.AsyncClient, other: Other
) -> None:
    other.answer = lambda _: b"SMTP ready\r\n\r\n"
    with pytest.raises(httpx.HTTPError):
        await client.get("/")
    async with asking("http://127.0.0.1:1", TIMEOUT_S) as alone:
        with pytest.raises(httpx.NetworkError):
            await alone.get("/")
