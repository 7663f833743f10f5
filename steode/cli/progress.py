"""What a command waits for: told on a terminal once it has taken a second, and nowhere else."""

import contextlib
import logging
import sys
import threading

import typer

PATIENCE = 1.0
"""Seconds of silence."""


class Waiting(logging.Handler):
    """Shows the last message of steode's loggers if nothing has followed it after `PATIENCE`."""

    def __init__(self):
        super().__init__(logging.INFO)
        self.timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.cancel()
        self.timer = threading.Timer(PATIENCE, typer.echo, [f"{record.getMessage()} ..."], {"err": True})
        self.timer.daemon = True
        self.timer.start()

    def cancel(self) -> None:
        """Nothing is waited for any more."""
        if self.timer is not None:
            self.timer.cancel()


@contextlib.contextmanager
def shown():
    """Show what is waited for, if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    logger, handler = logging.getLogger("steode"), Waiting()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        handler.cancel()
        logger.removeHandler(handler)
        logger.setLevel(level)
