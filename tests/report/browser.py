"""A headless Chromium on a pipe: what a page loads, says, and does when it is used."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


def find_chromium() -> str | None:
    """Path of a Chromium, None where there is none."""
    return next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)


class Browser:
    """One page of a browser with a fresh profile; a context manager.

    ``requests`` holds the URL of everything the page asked for, ``console`` what it said and the errors it threw.
    """

    def __init__(self, width: int = 1200, height: int = 900) -> None:
        self.size = (width, height)
        self.requests: list[str] = []
        self.console: list[str] = []

    def __enter__(self) -> Browser:
        program = find_chromium()
        assert program is not None
        self.profile = tempfile.mkdtemp(prefix="chromium-")
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()

        def wire() -> None:
            # The pipe's ends must be descriptors 3 and 4; copies far above first, since either may be one of them.
            a, b = (fcntl.fcntl(end, fcntl.F_DUPFD, 100) for end in (to_read, to_write))
            os.dup2(a, 3)
            os.dup2(b, 4)

        self._process = subprocess.Popen(
            [program, *FLAGS, f"--window-size={self.size[0]},{self.size[1]}", f"--user-data-dir={self.profile}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            env={**os.environ, "TMPDIR": self.profile},
            preexec_fn=wire,
        )
        os.close(to_read)
        os.close(to_write)
        self._buffer, self._number, self._session = b"", 0, ""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        width, height = self.size
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        os.close(self._read)
        os.close(self._write)
        shutil.rmtree(self.profile, ignore_errors=True)

    def open(self, path: Path, fragment: str = "") -> None:
        """Load a file and wait until it stands."""
        self._loaded = False
        self._call("Page.navigate", url=path.resolve().as_uri() + fragment)
        end = time.monotonic() + 40
        while not self._loaded:
            self._take(end)
        self.run("new Promise(done => setTimeout(done, 150))")

    def run(self, script: str) -> Any:
        """Value of a script in the page."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self, path: Path, clip: tuple[float, float, float, float] | None = None) -> None:
        """Save a PNG of the page or of a clip (x, y, width, height) in page pixels."""
        options: dict[str, Any] = {"captureBeyondViewport": True}
        if clip is not None:
            options["clip"] = dict(zip(("x", "y", "width", "height"), clip, strict=True), scale=1)
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", **options)["data"]))

    def pdf(self, path: Path) -> None:
        """Print to PDF."""
        answer = self._call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + 60
        while True:
            answer = self._take(end)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer.get("result", {})

    def _take(self, end: float) -> dict[str, Any]:
        """One message from the browser; events are noted on the way."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(end - time.monotonic(), 0))
            assert ready, "the browser does not answer"
            piece = os.read(self._read, 1 << 20)
            assert piece, "the browser has gone"
            self._buffer += piece
        text, self._buffer = self._buffer.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(a.get("value")) for a in params["args"]))
        elif method == "Runtime.exceptionThrown":
            self.console.append(params["exceptionDetails"]["text"])
        elif method == "Log.entryAdded":
            self.console.append(params["entry"]["text"])
        elif method == "Page.loadEventFired":
            self._loaded = True
