"""`python -m tally_cli` is `tally`."""

from tally_cli.main import main

main()
