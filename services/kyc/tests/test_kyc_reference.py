"""The reference page says what the service does: levels, what rests on what, codes of refusals."""

import re
from pathlib import Path

from tally_contracts import kyc as wire
from tally_kyc.policies import shipped

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "identity.md").read_text(encoding="utf-8")
SOURCES = (ROOT / "services" / "kyc" / "src").rglob("*.py")
_NAMES = re.compile(r"`([a-z_]+)`")


def rows(first: str) -> dict[str, list[str]]:
    """Rows of a table of the page by their first cell, from the one that begins so."""
    found: dict[str, list[str]] = {}
    for line in PAGE[PAGE.index(f"\n| {first}") :].strip().splitlines():
        if not line.startswith("|"):
            break
        head, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        found[head] = cells
    return found


def test_every_code_of_a_refusal_is_explained_and_promised() -> None:
    codes = {
        code
        for source in SOURCES
        for code in re.findall(
            r'(?:refuse|Refusal)\(\s*"([a-z_]+)"', source.read_text(encoding="utf-8")
        )
    }
    assert "decided_by_submitter" in codes
    assert codes - set(_NAMES.findall(PAGE)) == set()
    promised = set(re.findall(r"[a-z_]+", wire.KycCommandRefused.__doc__ or ""))
    assert codes - promised == set()


def test_the_page_says_what_each_level_takes_and_what_rests_on_what() -> None:
    policy = shipped()[-1]
    for kind, track in policy.tracks.items():
        ((_, cells),) = (row for row in rows("person").items() if row[0].startswith(kind))
        levels = [set(_NAMES.findall(cell)) for cell in cells]
        assert levels == [*(set(track.needs[each]) for each in track.needs), set(track.first)]
    for part, kinds in policy.touches.items():
        ((_, cells),) = (row for row in rows("is true no longer").items() if f"`{part}`" in row[0])
        assert set(_NAMES.findall(cells[0])) == set(kinds)
