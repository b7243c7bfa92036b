"""One service as a process: `python -m tally_messaging.launch SERVICE`, which its image runs."""

import importlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tally_messaging.errors import MessagingError
from tally_messaging.service import Service
from tally_messaging.settings import MessagingSettings
from tally_postgres import Schema
from tally_runtime import SettingsError, configure_logging, load_settings, run_all, run_process

EXIT_FAILED, EXIT_USAGE = 1, 2
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class UnknownService(MessagingError):  # noqa: N818 - named for what it says
    """No package of that name is a service, or it is not installed here."""

    code = "unknown_service"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} is no service installed here: give the name of one, such as `ledger`; an "
            "image holds one service only"
        )


@dataclass(frozen=True, slots=True)
class ServicePackage:
    """One service as found in its package `tally_<name>`."""

    name: str
    schema: Schema
    settings: type[MessagingSettings]
    build_app: Callable[..., Service]


def service_package(name: str) -> ServicePackage:
    """Load `tally_<name>.app` and `tally_<name>.settings`; raises `UnknownService`."""
    if _NAME.fullmatch(name) is None:
        raise UnknownService(name)
    package = f"tally_{name}"
    try:
        app = importlib.import_module(f"{package}.app")
        settings = importlib.import_module(f"{package}.settings")
    except ModuleNotFoundError as error:
        # Anything else that is missing is a fault of the image, told by its own traceback.
        if error.name not in {package, f"{package}.app", f"{package}.settings"}:
            raise
        raise UnknownService(name) from error
    return ServicePackage(
        name, app.SCHEMA, getattr(settings, f"{name.capitalize()}Settings"), app.build_app
    )


def give_way(settings: MessagingSettings) -> None:
    """Let the services that money waits for have a full machine first, by Unix niceness.

    For a process of one service alone: it cannot be taken back.
    """
    os.nice(settings.niceness)


def run_until_stopped(service: Service) -> int:
    """Run one service until a signal or a crash; returns the process's exit code."""
    give_way(service.settings)
    timeout_s = service.settings.graceful_timeout_s
    return run_process(lambda: run_all((service,), graceful_timeout_s=timeout_s))


def main(arguments: Sequence[str]) -> int:
    """Run the service named by the one argument, its settings from the environment.

    Exit code 0 is a clean stop, 1 a wrong setting, a failed start or a crash, 2 an unknown service.
    """
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m tally_messaging.launch SERVICE\n")
        return EXIT_USAGE
    try:
        found = service_package(arguments[0])
        settings = load_settings(found.settings)
        configure_logging(found.name, settings.log_level, json=settings.log_json)
        service = found.build_app(settings)
    except UnknownService as error:
        sys.stderr.write(f"error [{error.code}]: {error}\n")
        return EXIT_USAGE
    except SettingsError as error:
        sys.stderr.write(f"error [{error.code}]: {error}\n")
        return EXIT_FAILED
    return run_until_stopped(service)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
