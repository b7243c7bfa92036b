"""Every way the stack can refuse to work; each message says what is wrong and the remedy."""

from typing import ClassVar


class StackError(Exception):
    """Base of all errors of this package."""

    code: ClassVar[str] = "stack_error"
    retryable: ClassVar[bool] = False


class StackConfigurationError(StackError):
    """An environment variable or a folder does not allow the stack to start."""

    code = "stack_configuration"


class StackInUseError(StackError):
    """Another live process owns the servers of this folder."""

    code = "stack_in_use"
    retryable = True


class StackLockTimeoutError(StackError):
    """Another process kept the folder's lock longer than a start or a stop may take."""

    code = "stack_lock_timeout"
    retryable = True


class NotControllableError(StackError):
    """The server belongs to someone else, so it cannot be stopped, killed or reset from here."""

    code = "stack_not_controllable"


class PortInUseError(StackError):
    """Another program listens on a port this folder remembers."""

    code = "port_in_use"
    retryable = True


class ServerStartError(StackError):
    """A server exited or did not answer in time while starting; carries the end of its log."""

    code = "server_start_failed"


class ServerStopError(StackError):
    """A server survived even SIGKILL for longer than the stop may take."""

    code = "server_stop_failed"


class ServerStoppedError(StackError):
    """The operation needs a running server and there is none."""

    code = "server_stopped"


class DataVersionError(StackError):
    """The data folder was made by another major version of Postgres."""

    code = "data_version"


class DataDamagedError(StackError):
    """The data folder is incomplete and holds something that must not be thrown away silently."""

    code = "data_damaged"


class PrivilegeError(StackError):
    """Postgres refuses to run as root and no unprivileged user can run it here."""

    code = "no_unprivileged_user"


class JavaMissingError(StackError):
    """No Java runtime of the needed version can be run."""

    code = "java_missing"


class JarsMissingError(StackError):
    """Kafka's jars are not in the cache and could not be fetched."""

    code = "kafka_jars_missing"
    retryable = True


class JarMismatchError(StackError):
    """A cached or fetched jar is not the one the lock file names."""

    code = "kafka_jar_mismatch"


class EngineMissingError(StackError):
    """TALLY_STACK=containers was asked for and no container engine answers."""

    code = "container_engine_missing"


class ContainerRefusedError(StackError):
    """The container engine answers, but has no such image or cannot start the container."""

    code = "container_refused"
    retryable = True


class TopicMismatchError(StackError):
    """A topic exists with another number of partitions than declared."""

    code = "topic_partitions_mismatch"


class TopicCreationError(StackError):
    """The broker refused to create a topic."""

    code = "topic_creation_failed"
