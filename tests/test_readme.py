"""The README keeps its word: its Python runs and prints what it shows, its files and commands exist."""

import contextlib
import io
import pathlib
import re
import types

import pytest

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?")


def snippets(text: str) -> list[tuple[str, str | None]]:
    """Python blocks, each with the `text` block that comes next, if one comes before the next Python block."""
    found = []
    for language, body in FENCE.findall(text):
        if language == "python":
            found.append((body, None))
        elif language == "text" and found and found[-1][1] is None:
            found[-1] = (found[-1][0], body)
    return found


def same_output(printed: str, shown: str) -> bool:
    """Equal word for word; numbers to one unit of the last digit shown; `...` in the README stands for any words."""
    return same_words(printed.split(), shown.split())


def same_words(printed: list[str], shown: list[str]) -> bool:
    if not shown:
        return not printed
    if shown[0] == "...":
        return any(same_words(printed[skipped:], shown[1:]) for skipped in range(len(printed) + 1))
    return bool(printed) and same_word(printed[0], shown[0]) and same_words(printed[1:], shown[1:])


def same_word(printed: str, shown: str) -> bool:
    if NUMBER.sub("#", printed) != NUMBER.sub("#", shown):
        return False
    pairs = zip(NUMBER.findall(printed), NUMBER.findall(shown), strict=True)
    return all(abs(float(got) - float(wanted)) <= last_digit(wanted) * 1.001 for got, wanted in pairs)


def last_digit(number: str) -> float:
    """One unit of the last digit written: 0.01 for 3.14, and 0 for an integer, which must match exactly."""
    mantissa, _, exponent = number.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    return 10.0 ** (int(exponent or 0) - decimals) if "." in mantissa or exponent else 0.0


def test_python_in_the_readme_prints_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    namespace = types.ModuleType("readme").__dict__
    blocks = snippets(README)
    assert blocks
    for code, shown in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "README.md", "exec"), namespace)
        if shown is not None:
            assert same_output(printed.getvalue(), shown), f"printed:\n{printed.getvalue()}\nshown:\n{shown}"


def test_links_and_figures_of_the_readme_exist():
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", README) + re.findall(r'(?:src|href)="([^"#]+)"', README)
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    assert local
    assert [target for target in local if not (ROOT / target).exists()] == []


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_make_targets_named_in_the_documents_exist(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^ *(?:\$ )?)make ([a-z-]+)(?=`| *$| +#| +[A-Z]+=)", text, re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"run", "test"} <= named <= targets


@pytest.mark.parametrize(
    ("printed", "shown", "same"),
    [
        ("gap 0.1234\n", "gap 0.1234", True),
        ("gap 0.12341\n", "gap 0.1234", True),
        ("gap 0.1236\n", "gap 0.1234", False),
        ("gap 0.1234\n", "gaps 0.1234", False),
        ("4 seeds", "4 seeds", True),
        ("5 seeds", "4 seeds", False),
        ("z = -1.2e-03 at 10", "z = -1.2e-03 at 10", True),
        ("z = -1.4e-03 at 10", "z = -1.2e-03 at 10", False),
        ("first\nsecond\nlast", "first\n...\nlast", True),
        ("first\nsecond\nlast", "first\n...\nfinal", False),
        ("a 1.0\nb 2.0\nc 3.0", "a 1.0\n...\nc 3.5", False),
        ("1 2", "1 2 3", False),
    ],
)
def test_the_comparison_itself(printed, shown, same):
    assert same_output(printed, shown) is same
