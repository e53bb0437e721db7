"""The structure of the package in figures, with the limits that it must keep: `python -m tests.house`.

Counted are files, lines, loose modules at the top level, public class names declared twice, rooms that import each
other in a circle (imports inside functions count), functions of over 60 lines, and phrases of `tests/house_words.txt`
in what users read: string literals that are no docstrings, help texts, README.md and `reference/*.md`. Exits with 1
where a limit is broken, or a phrase is found.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "lmx_loadgen"
MOST_LOOSE_MODULES = 5
MOST_FUNCTION_LINES = 60
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass
class House:
    """What was counted. `classes` and `imports` are by name of the class and of the room."""

    files: int = 0
    lines: int = 0
    loose: list[str] = field(default_factory=list)
    classes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    imports: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    long_functions: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    @property
    def declared_twice(self) -> dict[str, list[str]]:
        return {name: places for name, places in sorted(self.classes.items()) if len(places) > 1}

    @property
    def in_circles(self) -> list[str]:
        return sorted(room for room in list(self.imports) if room in self._reached(room))

    def _reached(self, room: str) -> set[str]:
        reached: set[str] = set()
        waiting = list(self.imports[room])
        while waiting:
            if (other := waiting.pop()) not in reached:
                reached.add(other)
                waiting += self.imports.get(other, set())
        return reached

    def faults(self) -> Iterator[str]:
        """A sentence for each limit that is broken."""
        if len(self.loose) > MOST_LOOSE_MODULES:
            yield f"over {MOST_LOOSE_MODULES} loose modules at the top level: {', '.join(self.loose)}"
        for name, places in self.declared_twice.items():
            yield f"class {name} is declared in {' and '.join(places)}"
        if self.in_circles:
            yield f"rooms import each other in a circle: {', '.join(self.in_circles)}"
        for one in self.long_functions:
            yield f"over {MOST_FUNCTION_LINES} lines: {one}"
        for one in self.words:
            yield f"reword it: {one}"


def look(root: Path = ROOT) -> House:
    """Count the package below `root`, a checkout."""
    house = House()
    phrases = _phrases(root / "tests" / "house_words.txt")
    for path in sorted((root / PACKAGE).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        where = str(path.relative_to(root / PACKAGE))
        house.files += 1
        house.lines += text.count("\n")
        if "/" not in where:
            house.loose.append(where)
        _count(house, tree, where)
        for line, words in _user_facing(tree, is_cli=where == "cli.py" or where.startswith("commands/")):
            house.words += [f"{where}:{line}: {found[0]}" for found in phrases.finditer(words)]
    for page in (root / "README.md", *sorted((root / "reference").glob("*.md"))):
        for number, words in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
            house.words += [f"{page.name}:{number}: {found[0]}" for found in phrases.finditer(words)]
    return house


def _count(house: House, tree: ast.Module, where: str) -> None:
    room = where.split("/")[0].removesuffix(".py")
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            house.classes[node.name].append(where)
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS) and (node.end_lineno or 0) - node.lineno + 1 > MOST_FUNCTION_LINES:
            house.long_functions.append(f"{where}: {node.name}")
        house.imports[room] |= {other for other in _imported_rooms(node) if other != room}


def _imported_rooms(node: ast.AST) -> set[str]:
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
        names = [f"{PACKAGE}.{alias.name}" for alias in node.names if not alias.name.startswith("__")]
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = [node.module]
    return {name.split(".")[1] for name in names if name.startswith(f"{PACKAGE}.")}


def _user_facing(tree: ast.Module, *, is_cli: bool) -> Iterator[tuple[int, str]]:
    """Strings that may reach a user, with their lines. Docstrings of commands are their help."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, *_FUNCTIONS))
        and node.body
        and isinstance(node.body[0], ast.Expr)
        and not (is_cli and isinstance(node, _FUNCTIONS) and node.decorator_list)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def _phrases(path: Path) -> re.Pattern[str]:
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    words = [re.escape(line) for line in lines if line and not line.startswith("#")]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(words)})(?!\w)", re.IGNORECASE)


def main() -> int:
    house = look()
    print(f"files {house.files}, lines {house.lines}, loose modules {len(house.loose)}")
    print(f"class names declared twice {len(house.declared_twice)}, rooms in circles {len(house.in_circles)}")
    print(f"functions over {MOST_FUNCTION_LINES} lines {len(house.long_functions)}")
    print(f"phrases to reword {len(house.words)}")
    faults = list(house.faults())
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
