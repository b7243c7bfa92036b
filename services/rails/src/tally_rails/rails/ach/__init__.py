"""US bank accounts by ACH: files of credits to the originating bank, over SFTP."""

from pathlib import Path

from tally_postgres import MigrationSource
from tally_rails.port import RailModule
from tally_rails.rails.ach.adapter import AchRail
from tally_rails.rails.ach.capabilities import NAME
from tally_rails.rails.ach.config import AchSettings

MODULE = RailModule(
    NAME,
    settings=AchSettings,
    build=AchRail,
    migrations=MigrationSource("rails_ach", Path(__file__).parent / "migrations"),
)
