"""`python -m tally_chaos.bank OPTIONS`: the bank simulator, ending with the run that started it."""

from tally_bank_simulator.main import main
from tally_chaos.orphan import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    main()
