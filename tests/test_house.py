"""The structure of the package keeps its limits, and whatever breaks one is found."""

from pathlib import Path

import pytest

from tests.house import MOST_FUNCTION_LINES, MOST_LOOSE_MODULES, House, look


def made(root: Path, files: dict[str, str]) -> House:
    (root / "tests").mkdir()
    (root / "tests" / "house_words.txt").write_text("# a comment\nis told\n")
    (root / "README.md").write_text("Who asks knows.\n")
    for name, text in files.items():
        path = root / "lmx_loadgen" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return look(root)


def test_the_package_keeps_its_limits() -> None:
    house = look()

    assert list(house.faults()) == []
    assert house.files > 100  # it looked at the package, not at an empty folder


LONG = "def long():\n" + "    pass\n" * MOST_FUNCTION_LINES
FAULTS = {
    "loose modules": {f"m{number}.py": "" for number in range(MOST_LOOSE_MODULES + 1)},
    "class Same": {"a/x.py": "class Same: ...\n", "b/y.py": "class Same: ...\n"},
    "a circle: a, b": {
        "a/x.py": "def f():\n    from lmx_loadgen.b import y\n",
        "b/y.py": "from lmx_loadgen import a\n",
    },
    "a/x.py: long": {"a/x.py": LONG},
    "a/x.py:1: is told": {"a/x.py": 'text = "the user is told"\n'},
}


@pytest.mark.parametrize("found", FAULTS)
def test_each_broken_limit_is_named(found: str, tmp_path: Path) -> None:
    (fault,) = made(tmp_path, FAULTS[found]).faults()

    assert found in fault


def test_what_only_looks_like_a_fault_is_none(tmp_path: Path) -> None:
    files = {
        "a/x.py": "class _Same: ...\nfrom lmx_loadgen import __version__\n" + LONG.replace("    pass\n", "", 1),
        "a/y.py": "class _Same: ...\nfrom lmx_loadgen.a.x import long\n",
        "b/z.py": "from lmx_loadgen.a.x import long\n",
    }

    assert list(made(tmp_path, files).faults()) == []


def test_phrases_are_found_in_what_users_read_alone(tmp_path: Path) -> None:
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "guide.md").write_text("Who asked was told.\nWho asks is told.\n")
    house = made(tmp_path, {"a/x.py": '"""A name is told."""\ntext = "the user is told"\n# is told\n'})

    assert house.words == ["a/x.py:2: is told", "guide.md:2: is told"]
