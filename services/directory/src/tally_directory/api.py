"""The read API: a party's contacts, for the gateway alone. See README.md."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict

from tally_contracts.base import Text
from tally_directory.looking import Document, Look, look
from tally_directory.vault import Vault
from tally_messaging import Transactor, UnitOfWork
from tally_reads import guarded, viewer_of
from tally_runtime import Clock
from tally_security.internal import InternalKeys, Viewer


class Question(BaseModel):
    """What a look has to say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    purpose: Text


@dataclass(frozen=True, slots=True)
class ReadApi:
    """What the route works with; `per_minute` is how often one party may look."""

    transactor: Transactor
    clock: Clock
    keys: InternalKeys
    vault: Vault
    per_minute: int

    async def viewer(self, request: Request) -> Viewer:
        """Who looks, as the gateway signed it; raises ViewerMissing, ViewerRefused."""
        # A coroutine, though it waits for nothing: any other dependency runs in a thread of its own.
        return viewer_of(request, self.keys, self.clock.now())


def build_api(api: ReadApi) -> FastAPI:
    """The application; it asks first who looks."""
    app = guarded("Tallystick directory reads")

    @app.get("/parties/{party_id}/contacts")
    async def contacts(
        party_id: str,
        asked: Annotated[Question, Query()],
        viewer: Annotated[Viewer, Depends(api.viewer)],
    ) -> Response:
        async def unit(uow: UnitOfWork) -> Document:
            return await look(uow, api.vault, api.per_minute, Look(viewer, party_id, asked.purpose))

        return JSONResponse(await api.transactor.run(unit))

    return app
