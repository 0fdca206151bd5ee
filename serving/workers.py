"""Several processes behind one socket: started, watched over, and stopped together.

Each worker is a server of its own: it loads the bundle itself, follows the champion itself, and has
its own limits. What they share is the socket, whose connections the system hands to whichever is
free, and the files that `/metrics` adds up. A worker that dies is replaced; requests of the others
do not notice.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from prometheus_client.multiprocess import mark_process_dead

from serving.metrics import SHARED
from serving.run import listening, serve
from serving.settings import Settings

LISTENER = "INTENTCAST_LISTENER_FD"
_SUPERVISOR = "INTENTCAST_SUPERVISOR_PID"
_LOOK_SECONDS = 0.1
# A worker that lives shorter than this has something wrong that starting it again will not mend.
_SHORT_LIFE = 10.0
_MOST_SHORT_LIVES = 5


def run_workers(settings: Settings) -> None:
    """Run the workers until SIGTERM or SIGINT, then let them finish.

    Raises:
        InputError: If the address cannot be listened on.
    """
    shared = Path(tempfile.mkdtemp(prefix="intentcast-metrics-"))
    try:
        with listening(settings) as listener:
            _Supervisor(settings, listener, shared).run()
    finally:
        shutil.rmtree(shared, ignore_errors=True)


def serve_as_worker(settings: Settings, listener_fd: int) -> None:
    """Serve what comes to the supervisor's socket.

    Raises:
        InputError: If the keys cannot be read.
    """
    # Told, not asked of the system: the supervisor may be gone already.
    parent = int(os.environ.pop(_SUPERVISOR))
    serve(settings, socket.socket(fileno=listener_fd), parent=parent)


class _Supervisor:
    def __init__(self, settings: Settings, listener: socket.socket, shared: Path) -> None:
        self._settings, self._listener, self._shared = settings, listener, shared
        self._workers: dict[subprocess.Popen[bytes], float] = {}
        self._short_lives = 0
        self._n_orders = self._n_passed_on = 0

    @property
    def _is_stopping(self) -> bool:
        return self._n_orders > 0

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._hear)
        while len(self._workers) < self._settings.workers and not self._is_stopping:
            self._start_one()
        while self._workers:
            if self._n_passed_on < self._n_orders:
                self._pass_on()
            time.sleep(_LOOK_SECONDS)
            for worker in [worker for worker in self._workers if worker.poll() is not None]:
                started = self._workers.pop(worker)
                mark_process_dead(worker.pid, str(self._shared))  # type: ignore[no-untyped-call]
                if not self._is_stopping:
                    self._replace(worker, time.monotonic() - started)

    def _replace(self, worker: "subprocess.Popen[bytes]", lived: float) -> None:
        self._short_lives = self._short_lives + 1 if lived < _SHORT_LIFE else 0
        if self._short_lives > _MOST_SHORT_LIVES:
            sys.exit(worker.returncode or 1)
        time.sleep(min(1.0, 0.1 * self._short_lives))
        if not self._is_stopping:
            self._start_one()

    def _start_one(self) -> None:
        fd = self._listener.fileno()
        # The settings may have come from options: they are all told, by environment.
        environment = {
            f"INTENTCAST_{name.upper()}": _told(value)
            for name, value in self._settings
            if value is not None
        }
        worker = subprocess.Popen(
            [sys.executable, "-m", "serving"],
            env={
                **os.environ,
                **environment,
                SHARED: str(self._shared),
                LISTENER: str(fd),
                _SUPERVISOR: str(os.getpid()),
            },
            pass_fds=[fd],
            # Ctrl+C reaches the supervisor alone, which passes it on once.
            start_new_session=True,
        )
        self._workers[worker] = time.monotonic()

    def _hear(self, sig: int, frame: FrameType | None) -> None:
        # No more than that: it may interrupt the start of a worker.
        del sig, frame
        self._n_orders += 1

    def _pass_on(self) -> None:
        self._n_passed_on = self._n_orders
        # What the system accepts from now on is for the workers alone: they close the socket last.
        self._listener.close()
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)


def _told(value: object) -> str:
    secret = getattr(value, "get_secret_value", None)
    return str(secret()) if secret else str(value)
