"""What stands before the name of an owner who is no party is a contract: said once, and read from there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = ROOT / "contracts" / "src" / "tally_contracts" / "owners.py"
# Followed by a name it is the example of a request.
SAID = re.compile(r"""["'](?:event|contact|restricted):["'{%]""")


def test_names_of_owners_are_made_and_read_by_the_words_of_the_contract() -> None:
    sources = [
        path
        for folder in ("contracts", "libs/*", "services/*", "tools/*")
        for path in ROOT.glob(f"{folder}/src/**/*.py")
    ]
    assert HOME in sources
    found = [path for path in sources if SAID.search(path.read_text(encoding="utf-8"))]
    assert found == [HOME]
