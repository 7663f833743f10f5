"""The process of the command `steode`, and what Ctrl-C does to it from its first moment on.

Apart from the package, whose import takes seconds, so that these are covered as well.
"""

import os
import sys

INTERRUPTED = 130
MESSAGE = "steode: interrupted; files that were written are whole"

try:
    import select
    import signal
    import threading
    import time
except KeyboardInterrupt:
    os.write(2, f"{MESSAGE}\n".encode())
    os._exit(INTERRUPTED)

PATIENCE = 3.0
"""Seconds until Python runs the handler; beyond that compiled code is at work, which holds nothing to keep."""
GRACE = 60.0
"""Seconds for writing what is done after an interruption."""
AGAIN = 0.05
"""Seconds until an interruption that was swallowed is raised again."""


class Interrupts:
    """Ctrl-C as a `KeyboardInterrupt` in the main thread that cannot be lost, and an end that is sure to come.

    Python drops what is raised in a callback of the garbage collector or in a destructor, and runs no handler while the
    main thread is inside a compiler: the first is raised again, and a second thread watches over the second. It ends
    the process at a second Ctrl-C, `PATIENCE` after a first that nothing answered, and `GRACE` after any.
    """

    def __init__(self):
        self.requested = self.delivered = False

    def arm(self) -> None:
        """Listen, unless the process was started to ignore the signal, as in the background of a shell."""
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN or not hasattr(signal, "setitimer"):
            return
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        for number in (signal.SIGINT, signal.SIGALRM):
            signal.signal(number, self._deliver)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        sys.unraisablehook = self._raise_again
        threading.Thread(target=self._watch, args=(reading,), daemon=True).start()

    def disarm(self) -> None:
        """The command is done: nothing is raised any more while the interpreter ends."""
        if signal.getsignal(signal.SIGINT) == self._deliver:
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, lambda *_: self._end())

    def _deliver(self, number, frame):
        self.requested = self.delivered = True
        if _is_importing(frame):
            # an exception in the midst of importing compiled modules crashes some of them
            self._end()
        raise KeyboardInterrupt

    def _raise_again(self, dropped) -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        else:
            sys.__unraisablehook__(dropped)

    def _watch(self, reading: int) -> None:
        # the byte is written by the signal's handler in C, whatever the main thread is doing
        while os.read(reading, 1)[0] != signal.SIGINT:
            pass
        self.requested, begin = True, time.monotonic()
        while time.monotonic() - begin < (GRACE if self.delivered else PATIENCE):
            ready, _, _ = select.select([reading], [], [], 0.1)
            if ready and os.read(reading, 1)[0] == signal.SIGINT:
                break
        self._end()

    def _end(self) -> None:
        # the main thread may hold the stream: do not wait for it
        flush = threading.Thread(target=sys.stdout.flush, daemon=True)
        flush.start()
        flush.join(0.5)
        os.write(2, f"{MESSAGE}\n".encode())
        os._exit(INTERRUPTED)


def _is_importing(frame) -> bool:
    """True if a module is being imported somewhere below: commands import what computes when they need it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def main() -> None:
    """Run the command of the process's arguments."""
    interrupts = Interrupts()
    try:
        interrupts.arm()
        from steode.cli import main as command
        from steode.cli.program_cache import use_program_cache

        use_program_cache()
        command()
    except KeyboardInterrupt:
        _say_interrupted()
    except Exception:
        # compiled code that calls Python turns an interruption into errors of its own
        if not interrupts.requested:
            raise
        _say_interrupted()
    finally:
        interrupts.disarm()


def _say_interrupted() -> None:
    print(MESSAGE, file=sys.stderr)
    sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
