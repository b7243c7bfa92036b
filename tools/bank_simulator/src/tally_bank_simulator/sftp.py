"""The originator's side: an SFTP server with /inbound and /outbound and nothing else."""
# ruff: noqa: ARG002 - the signatures are those of asyncssh

import asyncio
import hmac
import io
import os
import posixpath
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncssh
from asyncssh.constants import FXF_APPEND, FXF_READ, FXF_WRITE

from tally_bank_simulator.faults import CrashPoint, FaultKind, Faults
from tally_bank_simulator.folder import TEMPORARY_SUFFIX, Folder, move, sync

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
_INBOUND, _OUTBOUND = "/inbound", "/outbound"
_MILLISECONDS = 1000
_LOGIN_SECONDS = 30
_HANG_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Login:
    """Who may come in: a password, authorized public keys, or both."""

    user: str
    password: str | None
    authorized_keys: Path | None


def host_key(folder: Folder) -> asyncssh.SSHKey:
    """The bank's ed25519 host key, made at the first start and kept."""
    if not folder.host_key.exists():
        key = asyncssh.generate_private_key("ssh-ed25519")
        draft = folder.root / "host_key.draft"
        draft.touch(mode=0o600)
        draft.write_bytes(key.export_private_key())
        sync(draft)
        move(draft, folder.host_key)
    return asyncssh.read_private_key(folder.host_key)


async def listen(
    *,
    host: str,
    port: int,
    key: asyncssh.SSHKey,
    login: Login,
    folder: Folder,
    faults: Faults,
    arrived: Callable[[], None],
) -> asyncssh.SSHAcceptor:
    """Start the server; `arrived` is called after each upload is renamed."""
    return await asyncssh.listen(
        host,
        port,
        server_host_keys=[key],
        server_factory=lambda: _Gate(login, faults),
        sftp_factory=lambda channel: _Counter(channel, folder, faults, arrived),
        sftp_version=3,
        allow_scp=False,
        login_timeout=_LOGIN_SECONDS,
        agent_forwarding=False,
    )


class _Gate(asyncssh.SSHServer):
    """Checks who logs in."""

    def __init__(self, login: Login, faults: Faults) -> None:
        self._login = login
        self._faults = faults
        self._refused = False
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        self._refused = self._faults.strike(FaultKind.REFUSE_LOGIN) is not None
        keys = self._login.authorized_keys
        known = username == self._login.user and not self._refused
        if known and keys is not None and self._connection is not None:
            self._connection.set_authorized_keys(str(keys))
        return True

    def password_auth_supported(self) -> bool:
        return self._login.password is not None

    def validate_password(self, username: str, password: str) -> bool:
        if self._login.password is None or self._refused or username != self._login.user:
            return False
        return hmac.compare_digest(password.encode(), self._login.password.encode())


class _Counter(asyncssh.SFTPServer):
    """One session at the counter. Uploads are `/inbound/*.part`, renamed when whole."""

    def __init__(
        self,
        channel: asyncssh.SSHServerChannel[bytes],
        folder: Folder,
        faults: Faults,
        arrived: Callable[[], None],
    ) -> None:
        super().__init__(channel, chroot=os.fsencode(folder.sftp))
        self._folder = folder
        self._faults = faults
        self._arrived = arrived

    async def _pause(self) -> None:
        slow = self._faults.strike(FaultKind.SLOW)
        if slow is not None and slow.milliseconds is not None:
            await asyncio.sleep(slow.milliseconds / _MILLISECONDS)

    def _drop(self, kind: FaultKind) -> None:
        if self._faults.strike(kind):
            self.connection.abort()
            raise asyncssh.SFTPConnectionLost("connection cut by a fault")

    async def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        await self._pause()
        place, name = _locate(path)
        writing = bool(pflags & (FXF_WRITE | FXF_APPEND))
        if writing and not (place == _INBOUND and _is_temporary(name)):
            raise asyncssh.SFTPPermissionDenied(
                f"upload to {_INBOUND}/NAME{TEMPORARY_SUFFIX}, then rename to {_INBOUND}/NAME"
            )
        if pflags & FXF_READ and not writing and place != _OUTBOUND:
            raise asyncssh.SFTPPermissionDenied(f"only files in {_OUTBOUND} can be read")
        return super().open(path, pflags, asyncssh.SFTPAttrs(permissions=0o600))

    def open56(
        self, path: bytes, desired_access: int, flags: int, attrs: asyncssh.SFTPAttrs
    ) -> object:
        raise asyncssh.SFTPOpUnsupported("this bank speaks SFTP version 3")

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        await self._pause()
        if self._faults.strike(FaultKind.HANG_ON_READ):
            await asyncio.sleep(_HANG_SECONDS)
            raise asyncssh.SFTPFailure("the bank gave up on this read")
        assert isinstance(file_obj, io.FileIO)
        return os.pread(file_obj.fileno(), size, offset)

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        await self._pause()
        self._drop(FaultKind.DROP_ON_WRITE)
        if self._faults.strike(FaultKind.OUT_OF_SPACE):
            raise asyncssh.SFTPNoSpaceOnFilesystem("no space left at the bank")
        assert isinstance(file_obj, io.FileIO)
        return os.pwrite(file_obj.fileno(), data, offset)

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        await self._pause()
        (source_place, source), (target_place, target) = _locate(oldpath), _locate(newpath)
        fits = (
            source_place == target_place == _INBOUND
            and _is_temporary(source)
            and _NAME.fullmatch(target)
            and not target.endswith(TEMPORARY_SUFFIX)
        )
        if not fits:
            raise asyncssh.SFTPPermissionDenied(
                f"only {_INBOUND}/NAME{TEMPORARY_SUFFIX} can be renamed, to {_INBOUND}/NAME of "
                "letters, digits, '.', '_' and '-', at most 120"
            )
        self._drop(FaultKind.DROP_BEFORE_RENAME)
        whole, final = self._folder.inbound / source, self._folder.inbound / target
        if final.exists():
            raise asyncssh.SFTPFileAlreadyExists("the bank has not yet taken a file of this name")
        sync(whole)
        move(whole, final)
        self._faults.crash_here(CrashPoint.RENAMED)
        self._arrived()
        self._drop(FaultKind.DROP_AFTER_RENAME)

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        await self.rename(oldpath, newpath)

    async def remove(self, path: bytes) -> None:
        await self._pause()
        place, name = _locate(path)
        if place == _OUTBOUND:
            (self._folder.outbound / name).unlink()
        elif place == _INBOUND and _is_temporary(name):
            (self._folder.inbound / name).unlink()
        else:
            raise asyncssh.SFTPPermissionDenied("a file handed in cannot be taken back")

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        await self._pause()
        async for name in super().scandir(path):
            yield name

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        """Modes and times an originator sets are ignored."""

    def lsetstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        """Ignored like setstat."""

    def fsetstat(self, file_obj: object, attrs: asyncssh.SFTPAttrs) -> None:
        """Ignored like setstat."""

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        raise _fixed_tree()

    def rmdir(self, path: bytes) -> None:
        raise _fixed_tree()

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        raise _fixed_tree()

    def link(self, oldpath: bytes, newpath: bytes) -> None:
        raise _fixed_tree()


def _fixed_tree() -> asyncssh.SFTPPermissionDenied:
    return asyncssh.SFTPPermissionDenied(f"the tree is fixed: {_INBOUND} and {_OUTBOUND}")


def _locate(path: bytes) -> tuple[str, str]:
    normal = posixpath.normpath(posixpath.join("/", path.decode("utf-8", "replace")))
    return posixpath.split(normal)


def _is_temporary(name: str) -> bool:
    return name.endswith(TEMPORARY_SUFFIX) and _NAME.fullmatch(name) is not None
