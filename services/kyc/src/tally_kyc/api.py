"""The read API: a party's identity and the tables, for the gateway alone. See README.md."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from tally_kyc.domain.tables import TableKind
from tally_kyc.looking import identity_of, table_of
from tally_postgres import Pool
from tally_reads import guarded, viewer_of
from tally_runtime import Clock
from tally_security.internal import InternalKeys, Viewer


@dataclass(frozen=True, slots=True)
class ReadApi:
    """What the routes work with."""

    pool: Pool
    clock: Clock
    keys: InternalKeys

    def viewer(self, request: Request) -> Viewer:
        """Who looks, as the gateway signed it; raises ViewerMissing, ViewerRefused."""
        return viewer_of(request, self.keys, self.clock.now())


def build_api(api: ReadApi) -> FastAPI:
    """The application; it asks first who looks."""
    app = guarded("Tallystick identity reads")

    @app.get("/parties/{party_id}/identity")
    async def identity(party_id: str, viewer: Annotated[Viewer, Depends(api.viewer)]) -> Response:
        return JSONResponse(await identity_of(api.pool, viewer, party_id))

    @app.get("/gates/{table}", dependencies=[Depends(api.viewer)])
    async def gates(table: str) -> Response:
        return JSONResponse(await table_of(api.pool, TableKind.GATE, table))

    @app.get("/limits/{table}", dependencies=[Depends(api.viewer)])
    async def limits(table: str) -> Response:
        return JSONResponse(await table_of(api.pool, TableKind.LIMIT, table))

    return app
