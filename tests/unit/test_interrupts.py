"""Ctrl-C ends the command: where Python drops the exception, while compiled code is at work, and at any other time."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

import steode_command

BEGIN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process ignores it
import gc, hashlib, os, sys, time, weakref
import steode_command
steode_command.PATIENCE = 0.5
interrupts = steode_command.Interrupts()
interrupts.arm()

def send():
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):  # the handler runs in here
        pass
"""
SWALLOWED = {
    "garbage collection": "gc.callbacks.append(lambda phase, _: send() if phase == 'start' else None); gc.collect()",
    "weak reference": "class A: pass\na = A(); r = weakref.ref(a, lambda _: send()); del a",
    "destructor": "class A:\n    def __del__(self): send()\na = A(); del a",
}
END = """
try:
    {action}
    time.sleep(20)
    print("lost")
except KeyboardInterrupt:
    print("ended")
"""


def ended(code: str) -> tuple[int, str, str, float]:
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout.strip(), done.stderr.strip(), time.monotonic() - begin


@pytest.mark.parametrize("where", SWALLOWED)
def test_what_a_callback_swallows_is_raised_again(where):
    action = SWALLOWED[where].replace("\n", "\n    ")
    if where == "garbage collection":
        action = action.replace("if phase", "if gc.callbacks.pop() and phase")
    status, out, err, seconds = ended(BEGIN + END.replace("{action}", action))
    assert (status, out, err) == (0, "ended", "")
    assert seconds < 10


def test_compiled_code_is_not_waited_for():
    # runs for a minute without the interpreter's lock and without looking at signals
    long = "import threading\nthreading.Timer(0.2, send).start()\nhashlib.pbkdf2_hmac('sha256', b'', b'', 10**8)"
    status, _, err, seconds = ended(f"{BEGIN}\nprint('kept')\n{long}")
    assert (status, err) == (130, steode_command.MESSAGE)
    assert seconds < 10


def test_a_second_interruption_ends_what_the_first_left_to_finish():
    code = (
        BEGIN + "\ntry:\n    send()\nexcept KeyboardInterrupt:\n    pass\ntry:\n    send(); time.sleep(20)\nfinally:\n"
    )
    status, _, err, seconds = ended(code + "    time.sleep(20)")
    assert (status, err) == (130, steode_command.MESSAGE)
    assert seconds < 10


def test_a_wait_is_told_on_a_terminal_and_nowhere_else(tmp_path):
    command = [sys.executable, "-m", "steode_command", "solve", "--t-end", "5", "--times", "3"]
    # with a program kept by another command nothing takes a second
    alone = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    plain = subprocess.run(command, capture_output=True, text=True, check=True, env=alone)
    assert plain.stderr == ""
    controller, terminal = pty.openpty()
    shown = subprocess.run(command, stdout=subprocess.PIPE, stderr=terminal, text=True, check=True, env=alone)
    os.close(terminal)
    assert shown.stdout == plain.stdout
    assert "density equation to tau = 5: mesh 1" in os.read(controller, 10_000).decode()
    os.close(controller)


def test_an_interruption_while_the_package_is_imported_is_one_line():
    code = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nimport steode_command\n"
    code += "import sys\nsys.argv = ['steode', 'derive']\nprint('ready', flush=True)\nsteode_command.main()"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.strip()) == (130, steode_command.MESSAGE)
