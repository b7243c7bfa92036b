"""Kafka's jars: fetched once, checked against the committed lock, started without any network."""

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from tally_embedded.errors import JarMismatchError, JarsMissingError, StackConfigurationError
from tally_embedded.process import file_lock, write_atomically

KAFKA_VERSION = "4.3.1"
KAFKA_ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
# The bridge from Kafka's slf4j to log4j, without which Kafka logs nothing. Resolved on its own:
# resolved together, its version rules would downgrade Kafka's dependencies.
BRIDGE_JAR = "log4j-slf4j-impl-2.25.4.jar"
BRIDGE_ENDPOINT = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"
LOCK_FILE = "kafka_jars.sha256"
MANIFEST = "manifest.json"
DOWNLOAD_SECONDS = 60


def cache_root() -> Path:
    """TALLY_CACHE, else `tallystick` in the user's cache folder."""
    if os.environ.get("TALLY_CACHE"):
        return Path(os.environ["TALLY_CACHE"]).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tallystick"


def jar_folder() -> Path:
    return cache_root() / f"kafka-{KAFKA_VERSION}"


def locked_jars() -> dict[str, str]:
    """Return the lock file as file name to SHA-256."""
    text = resources.files("tally_embedded").joinpath(LOCK_FILE).read_text()
    pairs = (line.split() for line in text.splitlines() if line)
    return {name: digest for digest, name in pairs}


def kafka_jars() -> Path:
    """Return the folder that holds exactly the locked jars; fetches them when some are missing.

    Size and modification time stand for the content while they are unchanged; else the jar is
    hashed again. A complete cache needs no network.

    Raises:
        JarMismatchError: a jar's content is not the locked one.
        JarsMissingError: jars are missing and could not be fetched.
    """
    folder = jar_folder()
    return folder if _is_intact(folder, locked_jars()) else fetch()


def fetch() -> Path:
    """Fill the cache so that later starts need no network; checks every jar by SHA-256.

    Raises:
        JarMismatchError: a fetched jar is not the locked one; nothing of it is installed.
        JarsMissingError: the network does not give them.
    """
    folder = jar_folder()
    locked = locked_jars()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StackConfigurationError(
            f"Cannot make the cache folder {folder.parent} ({error.strerror}); set TALLY_CACHE to "
            "a folder this user may write to."
        ) from error
    with file_lock(folder.parent / "fetch.lock", seconds=600):
        if _is_intact(folder, locked):
            return folder
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetch-") as scratch:
            staged = Path(scratch) / "jars"
            staged.mkdir()
            _copy_checked(_resolve(Path(scratch)), locked, staged)
            _write_manifest(staged, locked)
            shutil.rmtree(folder, ignore_errors=True)
            staged.rename(folder)
    return folder


def _resolve(scratch: Path) -> dict[str, Path]:
    with warnings.catch_warnings():
        # jgo looks for a runtime folder it never uses here and warns when XDG_RUNTIME_DIR is unset.
        warnings.simplefilter("ignore")
        from jgo.config import GlobalSettings  # noqa: PLC0415 - slow, and only fetching needs it
        from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
        from jgo.env import EnvironmentBuilder, LinkStrategy  # noqa: PLC0415
        from jgo.maven import MavenContext  # noqa: PLC0415
    settings = GlobalSettings.load()
    context = MavenContext(
        repo_cache=cache_root() / "maven" if os.environ.get("TALLY_CACHE") else settings.repo_cache,
        remote_repos={"central": MAVEN_CENTRAL_URL} | settings.repositories,
        timeout=DOWNLOAD_SECONDS,
    )
    builder = EnvironmentBuilder(
        context=context, cache_dir=scratch / "jgo", link_strategy=LinkStrategy.COPY
    )
    try:
        found = list(builder.from_endpoint(KAFKA_ENDPOINT).all_jars)
        bridge = builder.from_endpoint(BRIDGE_ENDPOINT).all_jars
    except (OSError, RuntimeError, ValueError) as error:
        raise JarsMissingError(
            f"Kafka {KAFKA_VERSION} is not in the cache {jar_folder()} and could not be fetched "
            f"({type(error).__name__}: {str(error)[:300]}). Run `tally stack fetch` once with "
            "network, or set TALLY_CACHE to a filled cache."
        ) from error
    found += [jar for jar in bridge if jar.name == BRIDGE_JAR]
    return {jar.name: jar for jar in found}


def _copy_checked(found: Mapping[str, Path], locked: Mapping[str, str], target: Path) -> None:
    if found.keys() != locked.keys():
        differing = ", ".join(sorted(found.keys() ^ locked.keys()))
        raise JarMismatchError(
            f"Resolving Kafka {KAFKA_VERSION} gave other jars than {LOCK_FILE} names: {differing}. "
            "Do not start it; find out why, then renew the lock file on purpose."
        )
    for name, digest in locked.items():
        shutil.copyfile(found[name], target / name)
        actual = _sha256(target / name)
        if actual != digest:
            raise JarMismatchError(
                f"{name} as fetched has SHA-256 {actual}, {LOCK_FILE} expects {digest}. Delete the "
                f"file {name} from the local Maven repository (~/.m2/repository, or the folder "
                "maven in TALLY_CACHE) and run `tally stack fetch` again."
            )


def _write_manifest(folder: Path, names: Mapping[str, str]) -> None:
    seen = {name: _fingerprint(folder / name) for name in names}
    write_atomically(folder / MANIFEST, json.dumps(seen, indent=1), mode=0o644)


def _is_intact(folder: Path, locked: Mapping[str, str]) -> bool:
    """Say whether every locked jar is there; raises when one is there with other content."""
    present = {jar.name for jar in folder.glob("*.jar")}
    if present != locked.keys():
        return False
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (FileNotFoundError, ValueError):
        manifest = {}
    changed = [name for name in locked if manifest.get(name) != _fingerprint(folder / name)]
    for name in changed:
        if _sha256(folder / name) != locked[name]:
            raise JarMismatchError(
                f"{folder / name} is not the jar that {LOCK_FILE} names (SHA-256 differs). Delete "
                "that file and run `tally stack fetch`."
            )
    if changed:
        _write_manifest(folder, locked)
    return True


def _fingerprint(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
