"""Spoils a module in one small way after another and sees whether its tests notice.

    python tests/mutate.py hardware/protocols/envelope.py -- tests/hardware/test_protocols.py
    python tests/mutate.py --sample 100 --seed 1 robot/guard.py -- tests/robot/test_guard.py

Works on a copy of the tree. Prints each change that no test noticed; exit status 1 when there is one.
A change that alters nothing that could be seen (an equivalent mutant) is for a person to recognise.
"""

from __future__ import annotations

import argparse
import ast
import copy
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPARE = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
           ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is}
ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
              ast.Mod: ast.Add, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
              ast.LShift: ast.RShift, ast.RShift: ast.LShift}


def variants(node: ast.AST) -> Iterator[ast.AST]:
    """What `node` may be spoiled into."""
    made = copy.deepcopy(node)
    if isinstance(made, ast.Compare):
        for k, op in enumerate(made.ops):
            if type(op) in COMPARE:
                other = copy.deepcopy(made)
                other.ops[k] = COMPARE[type(op)]()
                yield other
    elif isinstance(made, ast.BinOp | ast.AugAssign) and type(made.op) in ARITHMETIC:
        made.op = ARITHMETIC[type(made.op)]()
        yield made
    elif isinstance(made, ast.BoolOp):
        made.op = ast.Or() if isinstance(made.op, ast.And) else ast.And()
        yield made
    elif isinstance(made, ast.UnaryOp) and isinstance(made.op, ast.Not):
        yield made.operand
    elif isinstance(made, ast.Constant) and isinstance(made.value, bool):
        yield ast.Constant(not made.value)
    elif isinstance(made, ast.Constant) and isinstance(made.value, int | float):
        yield ast.Constant(made.value + 1)
    elif isinstance(made, ast.Constant) and isinstance(made.value, bytes) and made.value:
        yield ast.Constant(bytes((made.value[0] ^ 1,)) + made.value[1:])
    elif isinstance(made, ast.If | ast.While):
        made.test = ast.UnaryOp(ast.Not(), made.test)
        yield made
    elif isinstance(made, ast.Continue):
        yield ast.Break()
    elif isinstance(made, ast.Break):
        yield ast.Continue()


class Place:
    """One node of the tree and one way to spoil it."""

    def __init__(self, parent: ast.AST, field: str, index: int | None, node: ast.AST, new: ast.AST) -> None:
        self.parent, self.field, self.index, self.node = parent, field, index, node
        self.new = ast.copy_location(new, node)

    def put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node

    def words(self) -> str:
        def short(node: ast.AST) -> str:
            return ast.unparse(node).splitlines()[0][:70]

        return f"line {self.node.lineno}: {short(self.node)}  ->  {short(self.new)}"


def places(tree: ast.Module, skip: tuple[str, ...]) -> list[Place]:
    """Every way to spoil `tree`, but for annotations, text and assignments to the names in `skip`."""
    out: list[Place] = []

    def visit(node: ast.AST) -> None:
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list"):
                continue
            for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if not isinstance(child, ast.AST) or _named(child, skip):
                    continue
                if hasattr(child, "lineno"):
                    out.extend(Place(node, field, index, child, new) for new in variants(child))
                visit(child)

    visit(tree)
    return out


def _named(node: ast.AST, skip: tuple[str, ...]) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(t, ast.Name) and t.id in skip for t in targets)


def survives(tree: ast.Module, target: Path, folder: Path, tests: list[str], seconds: float) -> bool:
    """Whether the tests pass with the spoiled module in place."""
    target.write_text(ast.unparse(ast.fix_missing_locations(tree)))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module")
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--sample", type=int, default=0, help="only so many changes, drawn by chance")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--skip", default="", help="names, by comma, whose assignments stay as they are")
    parser.add_argument("--seconds", type=float, default=60.0, help="after which a run counts as noticed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("robot", "hardware", "sim", "policies", "datagen", "configs", "tests", "pyproject.toml"):
            source = ROOT / part
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / part, ignore=ignore) if source.is_dir() else shutil.copy(source, folder)
        target = folder / given.module
        tree = ast.parse(target.read_text())
        if not survives(tree, target, folder, given.tests, given.seconds):
            print("the tests fail without any change")
            return 2
        todo = places(tree, tuple(given.skip.split(",")))
        if given.sample and given.sample < len(todo):
            todo = random.Random(given.seed).sample(todo, given.sample)
        left = []
        for place in todo:
            place.put(place.new)
            if survives(tree, target, folder, given.tests, given.seconds):
                left.append(place.words())
                print(f"not noticed: {left[-1]}", flush=True)
            place.put(place.node)
    print(f"{given.module}: {len(todo) - len(left)} of {len(todo)} changes were noticed")
    return 1 if left else 0


if __name__ == "__main__":
    raise SystemExit(main())
