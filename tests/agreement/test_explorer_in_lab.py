"""The explorer in JupyterLab, in a headless browser: cells are run, a slider is moved, the button is pressed.

Needs JupyterLab (`pip install steode[notebooks]`) and a Chromium. Server and browser talk over the loopback device.
"""

import importlib.util
import os
import socket
import subprocess
import sys
import time

import pytest

from tests.agreement.chromium import Chromium, find_browser

pytestmark = [
    pytest.mark.skipif(find_browser() is None, reason="no Chromium on this machine"),
    pytest.mark.skipif(importlib.util.find_spec("jupyterlab") is None, reason="no JupyterLab in this environment"),
]

CELLS = [
    "import steode\nexplorer = steode.explore(t_end=10.0, dim=50, seeds=2)\nexplorer",
    "print('range', explorer.model.weight_quantizer.range, 'runs', explorer.view.runs is not None)",
]
STARTUP = 60.0
COMPILATION = 60.0
STATUS = "(document.querySelector('.jupyter-widgets.widget-html')?.innerText || '')"
PICTURE = "document.querySelector('.jupyter-widgets img')"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Address of a JupyterLab with one notebook, with settings and data of its own."""
    nbformat = pytest.importorskip("nbformat")
    folder = tmp_path_factory.mktemp("lab")
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS], metadata=metadata
    )  # fmt: skip
    (folder / "notebooks").mkdir()
    nbformat.write(notebook, folder / "notebooks" / "explorer.ipynb")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    own = {name: str(folder / name) for name in names}
    own |= {f"JUPYTERLAB_{name}_DIR": str(folder / name) for name in ("SETTINGS", "WORKSPACES")}
    options = {
        "ServerApp.ip": "127.0.0.1", "ServerApp.port": port, "ServerApp.port_retries": 0, "IdentityProvider.token": "",
        "ServerApp.root_dir": folder / "notebooks", "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }  # fmt: skip
    words = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", *words]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + STARTUP
        while not answers(port):
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/doc/tree/explorer.ipynb"
    finally:
        server.terminate()
        server.wait(timeout=30)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def browser(address, tmp_path_factory):
    """The notebook with its first cell run and everything computed."""
    chromium = Chromium(tmp_path_factory.mktemp("profile"))
    chromium.look(width=1280, height=900)
    chromium.navigate(address)
    try:
        idle = "document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status === 'idle'"
        chromium.wait(idle, STARTUP)
        run_cell(chromium, 0)
        chromium.wait(f"{STATUS}.includes('fixed point')", COMPILATION)
        yield chromium
    finally:
        chromium.close()


def run_cell(browser: Chromium, number: int) -> None:
    """Select a cell and press Shift+Enter, again as long as the notebook, just opened, does not listen yet."""
    prompt = f"document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')[{number}]"
    for _ in range(20):
        browser.click(prompt)
        browser.wait(f"{prompt}.closest('.jp-Cell').classList.contains('jp-mod-active')")
        browser.press("Enter", 13, shift=True)
        time.sleep(1.0)
        if browser.evaluate(f"{prompt}.innerText.trim() !== '[ ]:'"):
            return
    raise TimeoutError(f"cell {number} does not run")


def picture(browser: Chromium) -> list:
    """Natural width and height of the figure, and its place on the page."""
    return browser.evaluate(
        f"(() => {{ const i = {PICTURE}, r = i.getBoundingClientRect();"
        "return [i.complete && i.naturalWidth, i.naturalHeight, r.left, r.right]; })()"
    )


def test_controls_and_figure_are_side_by_side_and_whole(browser):
    width, height, left, right = picture(browser)
    assert width > 600 < height * 3
    sliders = "Math.max(...[...document.querySelectorAll('.widget-slider')].map(e => e.getBoundingClientRect().right))"
    assert browser.evaluate(sliders) <= left + 1
    assert right <= 1280
    overflow = "(() => { const o = document.querySelector('.jp-OutputArea-output'); return o.scrollWidth; })()"
    assert browser.evaluate(overflow) <= browser.evaluate(overflow.replace("scrollWidth", "clientWidth"))


def test_in_a_narrow_window_the_figure_goes_below_the_controls(browser):
    browser.look(width=760, height=1000)
    below = (
        "document.querySelector('.jupyter-button').getBoundingClientRect().bottom"
        f" <= {PICTURE}.getBoundingClientRect().top + 1"
    )
    browser.wait(below, 10.0)
    assert picture(browser)[3] <= 760
    browser.look(width=1280, height=900)


def test_a_slider_moved_by_key_and_the_button_reach_the_kernel_and_come_back(browser):
    before = browser.evaluate(f"{PICTURE}.src")
    said = browser.evaluate(STATUS)
    # the second slider is the range; the handle takes arrow keys
    browser.evaluate("document.querySelectorAll('.noUi-handle')[1].focus()")
    browser.press("ArrowRight", 39)
    browser.wait(f"{STATUS}.includes('fixed point') && {STATUS} !== {said!r}")
    moved = browser.evaluate(f"{PICTURE}.src")
    assert moved != before
    browser.click("document.querySelector('.jupyter-button')")
    browser.wait(f"{PICTURE}.src !== {moved!r}", COMPILATION)
    browser.wait("!document.querySelector('.jupyter-button').disabled")
    run_cell(browser, 1)
    printed = "document.querySelectorAll('.jp-CodeCell')[1].querySelector('.jp-OutputArea-output')?.innerText"
    browser.wait(f"!!{printed}")
    assert browser.evaluate(printed).split() == ["range", "2.05", "runs", "True"]


def test_no_script_fails(browser):
    assert [problem for problem in browser.problems if problem.startswith(("exception", "console"))] == []
