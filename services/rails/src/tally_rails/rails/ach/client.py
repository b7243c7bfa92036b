"""The bank's SFTP server and nothing else: no rules, no database.

A file is written to `/inbound/NAME.part` and renamed to `/inbound/NAME`: before the rename nothing
can have happened, from the rename on it may have.
"""

import asyncio
import hmac
import posixpath
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ClassVar, Final

import asyncssh

from tally_rails.rails.ach.config import AchSettings
from tally_runtime import get_logger

_INBOUND: Final = "/inbound"
_OUTBOUND: Final = "/outbound"
_PART: Final = ".part"
_CHUNK_BYTES: Final = 256 * 1024
_LOG = get_logger("tally_rails.ach")
_match_name: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}").fullmatch


class BankError(Exception):
    """The bank could not be asked; nothing was changed by the call."""

    code: ClassVar[str] = "bank_unreachable"
    retryable: ClassVar[bool] = True


class HostKeyMismatch(BankError):  # noqa: N818 - named for what it says
    """Somebody else answers in the bank's place, or the bank has a new key."""

    code: ClassVar[str] = "bank_host_key_mismatch"
    retryable: ClassVar[bool] = False


class UploadInDoubt(BankError):  # noqa: N818 - named for what it says
    """The connection broke when the file was renamed: it may or may not have been handed in."""

    code: ClassVar[str] = "upload_in_doubt"


class FileTooLarge(BankError):  # noqa: N818 - named for what it says
    """A file of the bank is larger than the settings allow."""

    code: ClassVar[str] = "file_too_large"
    retryable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, order=True)
class Listed:
    """A file in the bank's outbound folder; `modified_at` in seconds since 1970."""

    modified_at: int
    name: str
    size: int


class _KnownHost(asyncssh.SSHClient):
    """Accepts the one host key the settings name, by its fingerprint."""

    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        self.offered: str | None = None

    def validate_host_public_key(
        self,
        host: str,  # noqa: ARG002 - asyncssh's signature
        addr: str,  # noqa: ARG002 - asyncssh's signature
        port: int,  # noqa: ARG002 - asyncssh's signature
        key: asyncssh.SSHKey,
    ) -> bool:
        self.offered = key.get_fingerprint()
        return hmac.compare_digest(self.offered, self._fingerprint)


class BankSession:
    """An open session; every call is bounded in time and raises BankError."""

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        sftp: asyncssh.SFTPClient,
        config: AchSettings,
    ) -> None:
        self._connection = connection
        self._sftp = sftp
        self._config = config

    @property
    def is_open(self) -> bool:
        return not self._connection.is_closed()

    async def upload(self, name: str, content: bytes) -> None:
        """Hand a file in; raises UploadInDoubt once it may have been, BankError before."""
        part = posixpath.join(_INBOUND, name + _PART)
        async with (
            _asking(f"write {part}", self._config.transfer_timeout_s),
            self._sftp.open(part, "wb") as stream,
        ):
            for start in range(0, len(content), _CHUNK_BYTES):
                await stream.write(content[start : start + _CHUNK_BYTES])
        try:
            async with asyncio.timeout(self._config.call_timeout_s):
                await self._sftp.rename(part, posixpath.join(_INBOUND, name))
        except asyncssh.SFTPPermissionDenied as error:
            raise BankError(f"the bank forbids to hand in {name}: {error}") from error
        except (asyncssh.Error, OSError, TimeoutError) as error:
            raise UploadInDoubt(f"handing in {name}: {_told(error)}") from error

    async def waiting(self) -> set[str]:
        """Names of files handed in that the bank has not taken yet."""
        async with _asking(f"list {_INBOUND}", self._config.call_timeout_s):
            names = await self._sftp.listdir(_INBOUND)
        return {str(name) for name in names if not str(name).endswith(_PART)}

    async def outbound(self) -> list[Listed]:
        """What the bank has left for us, oldest first."""
        found = []
        async with _asking(f"list {_OUTBOUND}", self._config.transfer_timeout_s):
            async for entry in self._sftp.scandir(_OUTBOUND):
                attrs, name = entry.attrs, str(entry.filename)
                if attrs.type != asyncssh.FILEXFER_TYPE_REGULAR:
                    continue
                if _match_name(name) is None:
                    _LOG.warning("ach_name_not_taken", name=ascii(name)[:200])
                    continue
                found.append(Listed(int(attrs.mtime or 0), name, attrs.size or 0))
        return sorted(found)

    async def read(self, name: str) -> bytes | None:
        """A file of the outbound folder, whole; None when another of us has removed it meanwhile.

        Raises FileTooLarge beyond the settings' limit.
        """
        longest = self._config.file_bytes_max
        path = posixpath.join(_OUTBOUND, name)
        async with _asking(f"read {path}", self._config.transfer_timeout_s):
            try:
                async with self._sftp.open(path, "rb") as stream:
                    data: bytes = await stream.read(longest + 1)
            except asyncssh.SFTPNoSuchFile:
                return None
        if len(data) > longest:
            raise FileTooLarge(
                f"{path} has more than {longest} bytes; raise TALLY_RAILS_ACH_FILE_BYTES_MAX or ask "
                "the bank for smaller files"
            )
        return data

    async def remove(self, name: str) -> None:
        """Remove a file of the outbound folder; one that is gone already is fine."""
        async with _asking(f"remove {name}", self._config.call_timeout_s):
            try:
                await self._sftp.remove(posixpath.join(_OUTBOUND, name))
            except asyncssh.SFTPNoSuchFile:
                return

    def abort(self) -> None:
        """End the session at once: against a hanging bank a polite goodbye would hang as well."""
        self._connection.abort()


class BankLine:
    """Keeps one session open from turn to turn, and never one that has failed."""

    def __init__(self, config: AchSettings) -> None:
        self._config = config
        self._session: BankSession | None = None

    @asynccontextmanager
    async def session(self) -> AsyncIterator[BankSession]:
        """The open session, or a new one; after an error it is ended."""
        if self._session is None or not self._session.is_open:
            self._session = await connect(self._config)
        try:
            yield self._session
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the session, if there is one."""
        if self._session is not None:
            self._session.abort()
            self._session = None


async def connect(config: AchSettings) -> BankSession:
    """Log in; raises HostKeyMismatch or BankError."""
    assert config.host_key_fingerprint is not None, "checked when the settings were read"
    assert config.password is not None, "checked when the settings were read"
    host = _KnownHost(config.host_key_fingerprint)
    try:
        async with asyncio.timeout(config.call_timeout_s):
            connection = await asyncssh.connect(
                config.host or "",
                config.port,
                client_factory=lambda: host,
                known_hosts=([], [], []),
                username=config.user or "",
                password=config.password.get_secret_value(),
                client_keys=None,
                agent_path=None,
                config=None,
            )
            try:
                sftp = await connection.start_sftp_client(path_encoding="latin-1")
            except BaseException:
                connection.abort()
                raise
    except asyncssh.HostKeyNotVerifiable as error:
        raise HostKeyMismatch(
            f"{config.host}:{config.port} shows host key {host.offered}, expected "
            f"{config.host_key_fingerprint}: ask the bank, then correct "
            "TALLY_RAILS_ACH_HOST_KEY_FINGERPRINT"
        ) from error
    except (asyncssh.Error, OSError, TimeoutError) as error:
        raise BankError(f"log in at {config.host}:{config.port}: {_told(error)}") from error
    return BankSession(connection, sftp, config)


@asynccontextmanager
async def _asking(what: str, timeout_s: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except (asyncssh.Error, OSError, TimeoutError) as error:
        raise BankError(f"{what}: {_told(error)}") from error


def _told(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip()
