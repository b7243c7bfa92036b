"""What every service needs before it does anything: time, ids, settings, logs, health, a runner."""

from tally_runtime.clock import Clock, FixedClock, SystemClock
from tally_runtime.ids import (
    Ids,
    MalformedId,
    SeededIds,
    derived_id,
    derived_uuid,
    encode_id,
    parse_id,
)
from tally_runtime.logs import configure_logging, get_logger
from tally_runtime.settings import Environment, ServiceSettings, SettingsError, load_settings

__all__ = [
    "Clock",
    "Environment",
    "FixedClock",
    "Ids",
    "MalformedId",
    "SeededIds",
    "ServiceSettings",
    "SettingsError",
    "SystemClock",
    "configure_logging",
    "derived_id",
    "derived_uuid",
    "encode_id",
    "get_logger",
    "load_settings",
    "parse_id",
]
