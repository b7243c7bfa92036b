"""Generated artefacts and the gates around them: run `python -m tally_contracts.generate --help`."""
