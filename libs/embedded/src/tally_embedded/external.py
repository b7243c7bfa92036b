"""Servers somebody else runs: they can be asked, not steered."""

from collections.abc import Callable
from typing import NoReturn

from tally_embedded.errors import NotControllableError
from tally_embedded.server import ServerState, ServerStatus


class ExternalServer:
    """A server named by an environment variable; start checks that it answers."""

    def __init__(
        self, name: str, variable: str, address: str, probe: Callable[[str], str | None]
    ) -> None:
        self.name = name
        self.address = address
        self._variable = variable
        self._probe = probe

    def start(self) -> None:
        trouble = self._probe(self.address)
        if trouble:
            raise NotControllableError(
                f"The {self.name} that {self._variable} names does not answer ({trouble}). Start "
                "it, or unset the variable to have one started."
            )

    def stop(self) -> None:
        return

    def release(self) -> None:
        return

    def kill(self) -> NoReturn:
        self._refuse("killed")

    def pause(self) -> NoReturn:
        self._refuse("paused")

    def resume(self) -> NoReturn:
        self._refuse("resumed")

    def reset(self) -> NoReturn:
        self._refuse("reset")

    def status(self) -> ServerStatus:
        trouble = self._probe(self.address)
        state = ServerState.FAILING if trouble else ServerState.RUNNING
        return ServerStatus(self.name, state, self.address, detail=trouble or "")

    def _refuse(self, act: str) -> NoReturn:
        raise NotControllableError(
            f"The {self.name} that {self._variable} names is not ours and is not {act}; unset the "
            "variable to use an embedded one."
        )
