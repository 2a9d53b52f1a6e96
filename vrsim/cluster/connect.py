"""The way to a Ray cluster: a running one by its address, or one of this machine."""

import socket
from typing import Any

from vrsim.errors import DependencyError, OptionError
from vrsim.worlds import home

__all__ = ["RETRIES", "connect", "task_options"]

RETRIES = 10  # workers that may die over one task; one that needs too much memory would kill them for ever
REACHED = 10  # seconds in which a cluster must answer


def connect(address: str) -> Any:
    """The module ``ray``, connected to the cluster at ``address``, "" = one of this machine, which is started.

    A process that is connected already stays where it is. Raises DependencyError without Ray, OptionError for a
    cluster that cannot be reached.
    """
    try:
        import ray
    except ImportError as error:
        raise DependencyError(f"--ray needs Ray ({error}); install it with pip install 'vrsim[ray]'") from None
    if not ray.is_initialized():
        _check_reachable(address)
        quiet = {"log_to_driver": False, "logging_level": "error"} | ({} if address else {"include_dashboard": False})
        try:
            ray.init(address=address or None, **quiet)
        except ConnectionError as error:
            told = str(error.__cause__ or error).strip().splitlines()[-1]  # above it stands a traceback
            raise OptionError(
                f"the Ray cluster at {address!r} cannot be joined: {told}\nOne that asks for a token needs "
                "RAY_AUTH_MODE=token, and the same token on every machine"
            ) from error
    return ray


def task_options() -> dict[str, Any]:
    """How a task is run that takes one core: with the worlds of this process, and again if its worker dies."""
    return {
        "num_cpus": 1,
        "max_retries": RETRIES,
        "runtime_env": {"env_vars": {"VRSIM_HOME": str(home().absolute()), "OMP_NUM_THREADS": "1"}},
    }


def _check_reachable(address: str) -> None:
    """Raise OptionError where nobody listens: Ray would try for minutes, and then end the process."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), timeout=REACHED).close()
    except (OSError, ValueError) as error:
        raise OptionError(
            f"there is no Ray cluster at {address!r} ({error}); start one with `ray start --head`, or use --ray local"
        ) from None
