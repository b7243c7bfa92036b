"""Files made by others."""

import json
from datetime import date
from pathlib import Path

import pytest

from tally_bankfiles.nacha import (
    AchFile,
    Batch,
    BatchHeader,
    Entry,
    FileHeader,
    read_file,
    write_file,
)

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "ach"
pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="../shared/vectors/ach is absent")


@pytest.mark.parametrize("name", ["ccd-debit.ach", "ppd-credit.ach"])
def test_a_padded_file_is_written_back_byte_for_byte(name: str) -> None:
    data = (VECTORS / name).read_bytes()
    assert write_file(read_file(data)) == data + b"\n"


@pytest.mark.parametrize(
    ("name", "amounts", "class_code"),
    [
        ("ccd-debit.ach", [500_000, 125], "CCD"),
        ("ppd-credit.ach", [100_000_000], "PPD"),
        ("ppd-debit.ach", [100_000_000], "PPD"),
        ("ppd-debit-fixedLength.ach", [10_500], "PPD"),
    ],
)
def test_foreign_files_read(name: str, amounts: list[int], class_code: str) -> None:
    file = read_file((VECTORS / name).read_bytes())
    (batch,) = file.batches
    assert batch.header.standard_entry_class_code == class_code
    assert [entry.amount_minor for entry in batch.entries] == amounts
    assert read_file(write_file(file)) == file


def test_the_json_twin_yields_its_own_controls() -> None:
    twin = json.loads((VECTORS / "ppd-valid.json").read_text())
    head, (batch,) = twin["fileHeader"], twin["batches"]
    company, (entry,), control = (
        batch["batchHeader"],
        batch["entryDetails"],
        batch["batchControl"],
    )
    file = AchFile(
        FileHeader(
            immediate_destination=head["immediateDestination"],
            immediate_origin=head["immediateOrigin"],
            file_creation_date=date(2018, 10, 8),
            file_id_modifier=head["fileIDModifier"],
            immediate_destination_name=head["immediateDestinationName"],
            immediate_origin_name=head["immediateOriginName"],
        ),
        (
            Batch(
                BatchHeader(
                    service_class_code=company["serviceClassCode"],
                    company_name=company["companyName"],
                    company_identification=company["companyIdentification"],
                    standard_entry_class_code=company["standardEntryClassCode"],
                    company_entry_description=company["companyEntryDescription"],
                    originating_dfi_identification=company["ODFIIdentification"],
                    batch_number=company["batchNumber"],
                    effective_entry_date=date(2018, 10, 9),
                ),
                (
                    Entry(
                        transaction_code=entry["transactionCode"],
                        routing=entry["RDFIIdentification"] + entry["checkDigit"],
                        account=entry["DFIAccountNumber"].strip(),
                        amount_minor=entry["amount"],
                        individual_id=entry["identificationNumber"].strip(),
                        name=entry["individualName"].strip(),
                        trace=entry["traceNumber"],
                    ),
                ),
            ),
        ),
    )
    written = write_file(file).decode().splitlines()[3]
    assert int(written[10:20]) == control["entryHash"]
    assert int(written[20:32]) == control["totalDebit"]
    assert int(written[32:44]) == control["totalCredit"]
