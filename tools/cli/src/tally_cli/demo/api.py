"""A client of the public API, as somebody's own program would have one."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from tally_runtime import Ids

T = TypeVar("T")
WAIT_S = 25
"""How long a command waits for its outcome before it is answered with 202."""
EVENTUALLY_S = 60
_POLL_S = 0.1
_OK = 200
_FORBIDDEN = 403


class StoryFailed(RuntimeError):  # noqa: N818 - named for what it says
    """The platform did something else than the story says; the message has both."""

    code = "story_failed"


@dataclass(frozen=True, slots=True)
class Client:
    """Calls the API with one key, each command with an Idempotency-Key of its own.

    `codes` brings a person the code of a challenge; where it is set, what needs one is sent with it.
    """

    http: httpx.AsyncClient
    key: str
    codes: Callable[[str], Awaitable[str]] | None = None

    async def get(self, path: str, **parameters: Any) -> httpx.Response:
        """Ask, whatever the answer."""
        return await self.http.get(path, params=parameters, headers=self._headers())

    async def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """Send a command and wait for its outcome, whatever it is."""
        return await self._send("POST", path, body, headers)

    async def put(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """Send a command that has its own address, and wait for its outcome, whatever it is."""
        return await self._send("PUT", path, body, headers)

    async def _send(
        self, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> httpx.Response:
        given = {"Idempotency-Key": Ids().uuid7().hex, "Prefer": f"wait={WAIT_S}", **headers}
        answered = await self.http.request(
            method, path, json=body, headers={**self._headers(), **given}
        )
        if self.codes is None or answered.status_code != _FORBIDDEN:
            return answered
        challenge = answered.json().get("challenge")
        if challenge is None:
            return answered
        given["Tally-Step-Up"] = f"{challenge}:{await self.codes(challenge)}"
        return await self.http.request(
            method, path, json=body, headers={**self._headers(), **given}
        )

    async def do(self, path: str, body: Any) -> dict[str, Any]:
        """Send a command and insist on its success; the command with its outcome."""
        answered = await self.post(path, body)
        if answered.status_code != _OK:
            raise StoryFailed(f"POST {path}: {answered.status_code} {answered.text}")
        found: dict[str, Any] = answered.json()
        return found

    async def see(self, path: str, **parameters: Any) -> dict[str, Any]:
        """Read and insist on an answer."""
        answered = await self.get(path, **parameters)
        if answered.status_code != _OK:
            raise StoryFailed(f"GET {path}: {answered.status_code} {answered.text}")
        found: dict[str, Any] = answered.json()
        return found

    async def refused(self, path: str, body: Any, code: str) -> dict[str, Any]:
        """Send a command and insist that it is refused with this code; the problem."""
        answered = await self.post(path, body)
        problem: dict[str, Any] = answered.json()
        expect(f"POST {path}", (answered.status_code != _OK, problem.get("code")), (True, code))
        return problem

    async def events(self, *types: str) -> list[dict[str, Any]]:
        """All of the party's own log, of these types, in order."""
        found: list[dict[str, Any]] = []
        after = "0"
        chosen = {"types": ",".join(types)} if types else {}
        while True:
            page = await self.see("/v1/events", after=after, limit=500, **chosen)
            found += page["data"]
            if not page["has_more"]:
                return found
            after = page["next"]

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def expect(what: str, found: object, wanted: object) -> None:
    """Insist that two are equal; raises StoryFailed with both."""
    if found != wanted:
        raise StoryFailed(f"{what}: {found!r}, expected {wanted!r}")


async def eventually(what: str, question: Callable[[], Awaitable[T | None]]) -> T:
    """The first answer that is one: facts take a moment to reach whoever shows them."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + EVENTUALLY_S
    while True:
        answer = await question()
        if answer:
            return answer
        if loop.time() > deadline:
            raise StoryFailed(f"not within {EVENTUALLY_S} s: {what} (last answer {answer!r})")
        await asyncio.sleep(_POLL_S)
