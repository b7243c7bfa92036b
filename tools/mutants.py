"""Mutation testing of the ledger's core: `make mutants` (why it is our own: docs/adr).

Each mutant is one small change of one module of the domain, run in a forked process against the fast
tests of the domain, then against the model tests if those let it pass. Prints how many were killed,
and every survivor; exits with 1 if fewer than `--threshold` per cent were.
"""

import argparse
import ast
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import NamedTuple

# Loaded once, before any fork; of the ledger itself nothing may be.
import hypothesis.stateful  # noqa: F401
import pytest

import tally_money  # noqa: F401

ROOT = Path(__file__).parents[1]
DOMAIN = ROOT / "services/ledger/src/tally_ledger/domain"
TESTS = ROOT / "services/ledger/tests"
FAST = ("test_ledger_domain.py", "test_ledger_rules.py")
SLOW = ("test_ledger_model.py",)
SECONDS_MAX = 120

_SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.BitOr: ast.BitAnd,
}


class Mutant(NamedTuple):
    """A module with one change, which `what` describes."""

    module: str
    line: int
    what: str
    code: CodeType


def mutants_of(path: Path) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its text."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    count = len(list(_sites(tree)))
    for number in range(count):
        changed = copy.deepcopy(tree)
        node, field = list(_sites(changed))[number]
        line = getattr(node, "lineno", 0)
        what = _mutate(node, field)
        ast.fix_missing_locations(changed)
        module = f"tally_ledger.domain.{path.stem}"
        yield Mutant(module, line, what, compile(changed, str(path), "exec"))


def _sites(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Nodes with the field that is to change; text, types, assertions and decorators are left."""
    for name, value in ast.iter_fields(tree):
        if isinstance(
            tree, ast.Constant | ast.JoinedStr | ast.Assert | ast.Import | ast.ImportFrom
        ):
            break
        if name in {"annotation", "returns", "decorator_list", "type_comment", "bases"}:
            continue
        if isinstance(tree, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__slots__" for target in tree.targets
        ):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _sites(child)
    yield from _own_sites(tree)


def _own_sites(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    match node:
        case ast.Compare(ops=[op]) if type(op) in _SWAPPED:
            yield node, "ops"
        case ast.BinOp() | ast.BoolOp() | ast.AugAssign() if type(node.op) in _SWAPPED:
            yield node, "op"
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node, "operand"
        case ast.Constant(value=bool() | int()):
            yield node, "value"
        case ast.If() | ast.IfExp() | ast.While():
            yield node, "test"
        case ast.Call(func=ast.Name(id="Rejected"), args=[ast.Constant(value=str()), *_]):
            yield node, "args"
        case ast.Continue():
            yield node, "continue"
        case _:
            return


def _mutate(node: ast.AST, field: str) -> str:
    before = "continue" if field == "continue" else ast.unparse(node)
    match node:
        case ast.Compare():
            node.ops = [_swapped(node.ops[0])]  # type: ignore[list-item]
        case ast.BinOp() | ast.BoolOp() | ast.AugAssign():
            node.op = _swapped(node.op)  # type: ignore[assignment]
        case ast.UnaryOp():
            node.op = ast.UAdd() if isinstance(node.op, ast.USub) else _truth(node)
        case ast.Constant():
            node.value = not node.value if isinstance(node.value, bool) else node.value + 1  # type: ignore[operator]
        case ast.If() | ast.IfExp() | ast.While():
            before = f"if {ast.unparse(node.test)}"
            node.test = ast.UnaryOp(ast.Not(), node.test)
        case ast.Call():
            node.args[0] = ast.Constant("mutated")
        case ast.Continue():
            node.__class__ = ast.Pass  # type: ignore[assignment]
    after = "pass" if field == "continue" else ast.unparse(node)
    if field == "test":
        after = "negated"
    return f"{before.splitlines()[0][:70]} -> {after.splitlines()[0][:70]}"


def _truth(node: ast.UnaryOp) -> ast.Not:
    """`not x` becomes `not not x`."""
    node.operand = ast.UnaryOp(ast.Not(), node.operand)
    return ast.Not()


def _swapped(node: ast.AST) -> ast.AST:
    return _SWAPPED[type(node)]()


class _Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module its mutated code."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, _path: object = None, _target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        exec(self._mutant.code, module.__dict__)  # noqa: S102 - our own code, changed


def survives(mutant: Mutant | None, files: Sequence[str]) -> bool:
    """Run tests in a process of their own; true if all of them pass."""
    child = os.fork()
    if child == 0:
        _run_tests(mutant, files)
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        time.sleep(0.02)


def _run_tests(mutant: Mutant | None, files: Sequence[str]) -> None:
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    if mutant is not None:
        sys.meta_path.insert(0, _Loader(mutant))
    options = ["-x", "-q", "--noconftest", "--hypothesis-seed=1", "-p", "no:cacheprovider"]
    options += ["-p", "no:randomly", "-p", "no:xdist", "-W", "ignore"]
    code = 3
    try:
        code = int(pytest.main([*options, *(str(TESTS / name) for name in files)]))
    finally:
        os._exit(code)


def main(arguments: Sequence[str]) -> int:
    """Run all mutants, or those of the modules named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="stems of domain modules, all by default")
    parser.add_argument("--threshold", type=float, default=85.0, help="per cent to be killed")
    chosen = parser.parse_args(arguments)
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = os.devnull
    if not survives(None, (*FAST, *SLOW)):
        sys.stderr.write("the tests fail without any mutant\n")
        return 2
    names = chosen.modules or sorted(p.stem for p in DOMAIN.glob("*.py") if p.stem != "__init__")
    total = killed = 0
    for name in names:
        # A module as it is, loaded like a mutant, must pass: else every mutant would count as killed.
        path = DOMAIN / f"{name}.py"
        same = compile(path.read_text(encoding="utf-8"), str(path), "exec")
        assert survives(Mutant(f"tally_ledger.domain.{name}", 0, "nothing", same), FAST), name
        for mutant in mutants_of(DOMAIN / f"{name}.py"):
            total += 1
            if survives(mutant, FAST) and survives(mutant, SLOW):
                print(f"survived  {name}.py:{mutant.line}  {mutant.what}", flush=True)
            else:
                killed += 1
    share = 100 * killed / total
    print(f"{killed} of {total} mutants killed: {share:.1f} % (at least {chosen.threshold:g} %)")
    return 0 if share >= chosen.threshold else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
