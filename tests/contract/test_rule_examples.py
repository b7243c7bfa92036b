"""The rule document that the API shows as an example can be published as it is."""

import pytest

from tally_funding.rules.lint import read_document
from tally_gateway.routes.funding import ROUTES

DOCUMENTS = {
    route.path: route.example["document"] for route in ROUTES if "document" in (route.example or {})
}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_the_example_of_a_rule_has_no_fault(path: str) -> None:
    assert read_document(DOCUMENTS[path].encode(), scope="*").document
