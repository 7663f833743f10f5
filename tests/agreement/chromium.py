"""A headless Chromium driven through its pipe, with no network and no package of its own."""

import json
import os
import pathlib
import select
import shutil
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str | None:
    """Path of a Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """One browser with one page: `open` a file, `evaluate` JavaScript, read what went wrong in `problems`."""

    def __init__(self, profile: pathlib.Path):
        read_commands, self._commands = os.pipe()
        self._answers, write_answers = os.pipe()
        flags = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions",
            "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
            "--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={profile}",
            # no network: names do not resolve, and whatever is left meets a closed port; servers of a test's own do
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--proxy-server=http://127.0.0.1:9",
        ]  # fmt: skip
        # the browser reads commands from descriptor 3 and writes answers to descriptor 4
        redirected = f'exec "$0" "$@" 3<&{read_commands} 4>&{write_answers}'
        self._process = subprocess.Popen(
            ["bash", "-c", redirected, find_browser(), *flags],
            pass_fds=(read_commands, write_answers), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read_commands)
        os.close(write_answers)
        self._buffer, self._number, self._session = b"", 0, None
        self.events: list[dict] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, timeout: float = 60.0, **parameters) -> dict:
        """The result of one command of the DevTools protocol; events that come in between are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + timeout
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def _receive(self, deadline: float) -> dict:
        while b"\0" not in self._buffer:
            if not select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError("Chromium did not answer")
            received = os.read(self._answers, 1 << 20)
            if not received:
                raise RuntimeError("Chromium ended")
            self._buffer += received
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def look(self, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Set the window and the color scheme that the reader prefers."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, path: pathlib.Path, timeout: float = 60.0) -> None:
        """Load a file and wait until it is drawn, formulas included."""
        self.navigate(path.resolve().as_uri())
        self.wait(
            "document.readyState === 'complete' && (!document.querySelector('.math') || "
            "!!(window.MathJax && MathJax.startup && MathJax.startup.promise))",
            timeout,
        )
        self.evaluate("document.querySelector('.math') ? MathJax.startup.promise.then(() => true) : true")

    def navigate(self, address: str) -> None:
        """Begin to load an address: a file, or a server on this machine."""
        self.events.clear()
        self.send("Page.navigate", url=address)

    def wait(self, condition: str, timeout: float = 60.0) -> None:
        """Return when a JavaScript expression is true."""
        deadline = time.monotonic() + timeout
        while not self.evaluate(condition):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not true after {timeout:g} s: {condition}")
            time.sleep(0.05)

    def click(self, element: str) -> None:
        """Press and release the mouse in the middle of the element that a JavaScript expression gives."""
        middle = (
            f"(() => {{ const e = {element}; e.scrollIntoView({{block: 'nearest'}}); "
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        x, y = self.evaluate(middle)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str, code: int, shift: bool = False) -> None:
        """Press and release a key, named as in `KeyboardEvent.key`, with its Windows key code."""
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                modifiers=8 if shift else 0,
            )  # fmt: skip

    def evaluate(self, expression: str):
        """Value of a JavaScript expression; a promise is awaited."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"])
        return result["result"].get("value")

    @property
    def problems(self) -> list[str]:
        """Console errors, exceptions, failed or outside requests since the page was opened."""
        found = []
        for event in self.events:
            method, details = event.get("method"), event.get("params", {})
            if method == "Network.loadingFailed" and not details.get("canceled"):
                found.append(f"failed: {details.get('errorText')} {self._address(details['requestId'])}")
            elif method == "Network.requestWillBeSent":
                address = details["request"]["url"]
                if not address.startswith(("file:", "data:", "about:", "blob:")):
                    found.append(f"outside: {address}")
            elif method == "Runtime.exceptionThrown":
                found.append(f"exception: {details['exceptionDetails'].get('text')}")
            elif method == "Runtime.consoleAPICalled" and details["type"] in ("error", "assert"):
                found.append(f"console: {[argument.get('value') for argument in details['args']]}")
            elif method == "Log.entryAdded" and details["entry"]["level"] == "error":
                found.append(f"log: {details['entry']['text']} {details['entry'].get('url', '')}")
        return found

    def _address(self, request: str) -> str:
        for event in self.events:
            if event.get("method") == "Network.requestWillBeSent" and event["params"]["requestId"] == request:
                return event["params"]["request"]["url"]
        return "?"

    def screenshot(self, path: pathlib.Path, whole: bool = False) -> None:
        """Save what is seen, or the whole page, as PNG."""
        import base64

        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self._clip(whole))
        path.write_bytes(base64.b64decode(data["data"]))

    def _clip(self, whole: bool) -> dict:
        if not whole:
            return {}
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def close(self) -> None:
        """End the browser."""
        try:
            self._session = None
            self.send("Browser.close", timeout=10)
        except (OSError, RuntimeError, TimeoutError):
            self._process.kill()
        self._process.wait(timeout=20)
        os.close(self._commands)
        os.close(self._answers)
