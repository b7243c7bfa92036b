"""What every service needs before it does anything: time, ids, settings, logs, health, a runner."""

from tally_runtime.background import BackgroundTasks, TaskCrashed
from tally_runtime.clock import Clock, FixedClock, SystemClock
from tally_runtime.health import Health, HealthServer
from tally_runtime.ids import (
    Ids,
    MalformedId,
    SeededIds,
    derived_id,
    derived_uuid,
    encode_id,
    parse_id,
    party_id_of,
)
from tally_runtime.logs import configure_logging, get_logger
from tally_runtime.metrics import Metrics
from tally_runtime.service import AppFailed, Runnable, Watched, run_all, run_process, run_service
from tally_runtime.settings import Environment, ServiceSettings, SettingsError, load_settings
from tally_runtime.telemetry import Tracing, configure_tracing

__all__ = [
    "AppFailed",
    "BackgroundTasks",
    "Clock",
    "Environment",
    "FixedClock",
    "Health",
    "HealthServer",
    "Ids",
    "MalformedId",
    "Metrics",
    "Runnable",
    "SeededIds",
    "ServiceSettings",
    "SettingsError",
    "SystemClock",
    "TaskCrashed",
    "Tracing",
    "Watched",
    "configure_logging",
    "configure_tracing",
    "derived_id",
    "derived_uuid",
    "encode_id",
    "get_logger",
    "load_settings",
    "parse_id",
    "party_id_of",
    "run_all",
    "run_process",
    "run_service",
]
