"""XML from strangers: nothing is fetched, expanded or read without bound."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tally_bankfiles.camt import StatementError, read_statements

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"


def refusal(data: bytes, **bounds: int) -> StatementError:
    with pytest.raises(StatementError) as caught:
        read_statements(data, **bounds)
    return caught.value


def test_entities_and_document_types_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    document = f'<Document xmlns="{NAMESPACE}"><BkToCstmrStmt>&e;</BkToCstmrStmt></Document>'
    for doctype in (
        f'<!DOCTYPE Document [<!ENTITY e SYSTEM "file://{secret}">]>',
        '<!DOCTYPE Document [<!ENTITY a "aaaaaaaaaa"><!ENTITY e "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE Document SYSTEM "http://127.0.0.1:1/camt.dtd">',
        '<!DOCTYPE Document [<!ENTITY % p SYSTEM "http://127.0.0.1:1/p"> %p;]>',
    ):
        error = refusal((doctype + document).encode())
        assert error.code == "xml_doctype"
        assert "secret" not in str(error)


def test_an_undeclared_entity_is_refused() -> None:
    document = f'<Document xmlns="{NAMESPACE}"><BkToCstmrStmt>&e;</BkToCstmrStmt></Document>'
    assert refusal(document.encode()).code == "xml_malformed"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "cp500"])
def test_encodings_that_could_hide_a_document_type_are_refused(encoding: str) -> None:
    document = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE Document><Document/>'
    assert refusal(document.encode(encoding)).code == "xml_encoding"


def test_a_seven_bit_encoding_that_could_hide_a_document_type_is_refused() -> None:
    document = b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE Document+AD4-<Document/>'
    assert refusal(document).code == "xml_encoding"


def test_deep_nesting_is_refused() -> None:
    deep = f'<Document xmlns="{NAMESPACE}">' + "<a>" * 100_000 + "</a>" * 100_000 + "</Document>"
    error = refusal(deep.encode())
    assert error.code == "xml_malformed"
    assert "depth" in error.detail


def test_a_file_beyond_the_bound_is_refused_unread() -> None:
    error = refusal(b"<" * 101, max_bytes=100)
    assert error.code == "too_large"


def test_markup_where_text_belongs_is_refused() -> None:
    document = f'<Document xmlns="{NAMESPACE}"><BkToCstmrStmt><Stmt><Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR"><b/></Amt></Bal></Stmt></BkToCstmrStmt></Document>'
    assert refusal(document.encode()).code == "balance_missing"


@pytest.mark.parametrize("data", [b"", b" ", b"<", b"<a/>", b"%PDF-1.7", b"{}", b"\xff\xfe<"])
def test_what_is_no_statement_is_refused(data: bytes) -> None:
    assert refusal(data).code in {"xml_malformed", "xml_encoding", "unsupported_message"}


@given(st.binary(max_size=500))
@settings(max_examples=200)
def test_random_bytes_never_crash_the_reader(data: bytes) -> None:
    with contextlib.suppress(StatementError):
        read_statements(data)
    with contextlib.suppress(StatementError):
        read_statements(b"<Document>" + data + b"</Document>")
