"""Single mutations of a Python source: each changes one thing, somewhere in a function or class."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_COMPARED = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
_COMPUTED = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "/",
    ast.Div: "*",
    ast.FloorDiv: "*",
    ast.Mod: "//",
    ast.Pow: "*",
    ast.BitAnd: "|",
    ast.BitOr: "&",
    ast.BitXor: "&",
    ast.LShift: ">>",
    ast.RShift: "<<",
}
_NAMES = {
    "min": "max",
    "max": "min",
    "all": "any",
    "any": "all",
    "floor": "ceil",
    "ceil": "floor",
    "sorted": "list",
}
_METHODS = {"sum": "mean", "mean": "sum", "startswith": "endswith"} | _NAMES
_SYMMETRIC = {"min", "max", "isclose", "equal"}  # in their first two arguments
_SPLITS = {"train": "validation", "validation": "test", "test": "validation"}


@dataclass(frozen=True)
class Mutation:
    """One thing that is changed.

    Attributes:
        kind: what is done, in a few words.
        line: where it begins, counted from 1.
        start: offset of the first character that is replaced.
        end: offset after the last.
        text: what stands there instead.
    """

    kind: str
    line: int
    start: int
    end: int
    text: str

    def apply(self, source: str) -> str:
        """The source with the change."""
        return source[: self.start] + self.text + source[self.end :]


def mutations(source: str) -> list[Mutation]:
    """All single mutations of a source that still parse, in the order of their places.

    Nothing is changed in docstrings, annotations, decorators, imports, messages of errors, and
    blocks for type checkers.
    """
    found = {}
    plain = ast.dump(ast.parse(source))
    for mutation in _Finder(source).found(ast.parse(source)):
        try:
            if ast.dump(ast.parse(mutation.apply(source))) == plain:
                continue
        except SyntaxError:
            continue
        found[(mutation.start, mutation.end, mutation.text)] = mutation
    return [found[key] for key in sorted(found)]


class _Finder:
    def __init__(self, source: str) -> None:
        self.source = source
        # Offsets of ast are in bytes of a line.
        self.lines = source.splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))

    def found(self, node: ast.AST) -> Iterator[Mutation]:
        """Mutations of a node and of all below it."""
        if isinstance(node, ast.Raise):
            yield self._replaced(node, "error not raised", "pass")
            return
        yield from self._of(node)
        for child in self._below(node):
            yield from self.found(child)

    def _below(self, node: ast.AST) -> Iterator[ast.AST]:
        if isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr):
            return
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list", "bases", "type_comment"):
                continue
            for child in value if isinstance(value, list) else [value]:
                is_text = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
                if isinstance(child, ast.AST) and not is_text:
                    yield child

    def _of(self, node: ast.AST) -> Iterator[Mutation]:
        match node:
            case ast.Compare(ops=[op], left=left, comparators=[right]):
                text = f"({self._text(left)}) {_COMPARED[type(op)]} ({self._text(right)})"
                yield self._replaced(node, "comparison", text)
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _COMPUTED:
                text = f"({self._text(left)}) {_COMPUTED[type(op)]} ({self._text(right)})"
                yield self._replaced(node, "arithmetic", text)
            case ast.AugAssign(op=op, target=left, value=right) if type(op) in _COMPUTED:
                text = f"{self._text(left)} {_COMPUTED[type(op)]}= {self._text(right)}"
                yield self._replaced(node, "arithmetic", text)
                yield self._replaced(node, "statement dropped", "pass")
            case ast.BoolOp(op=op, values=values):
                word = " or " if isinstance(op, ast.And) else " and "
                text = word.join(f"({self._text(value)})" for value in values)
                yield self._replaced(node, "and for or", text)
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
                yield self._replaced(node, "sign or not dropped", f"({self._text(operand)})")
            case ast.Constant(value=bool(value)):
                yield self._replaced(node, "constant", str(not value))
            case ast.Constant(value=int(value)):
                yield self._replaced(node, "constant", str(value + 1))
            case ast.Constant(value=float(value)):
                yield self._replaced(node, "constant", repr(value * 2 if value else 1.0))
            case ast.Constant(value=str(value)) if value in _SPLITS:
                yield self._replaced(node, "another split", repr(_SPLITS[value]))
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                return
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                yield self._replaced(test, "condition negated", f"not ({self._text(test)})")
            case ast.Expr(value=ast.Call()):
                yield self._replaced(node, "call dropped", "pass")
            case ast.Break():
                yield self._replaced(node, "loop goes on", "continue")
            case ast.Continue():
                yield self._replaced(node, "loop ends", "break")
            case ast.Call(func=func, args=args, keywords=keywords):
                yield from self._of_call(func, args, keywords)

    def _of_call(
        self, func: ast.expr, args: list[ast.expr], keywords: list[ast.keyword]
    ) -> Iterator[Mutation]:
        is_method = isinstance(func, ast.Attribute)
        name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        if other := (_METHODS if is_method else _NAMES).get(name):
            end = self._end(func)
            yield Mutation("another function", func.end_lineno or 0, end - len(name), end, other)
        is_pair = len(args) == 2 and not any(isinstance(arg, ast.Starred) for arg in args)
        if is_pair and name not in _SYMMETRIC:
            text = f"{self._text(args[1])}, {self._text(args[0])}"
            yield self._span(args[0], args[1], "arguments swapped", text)
        if len(keywords) > 0 and len(args) + len(keywords) > 1:
            for keyword in keywords:
                if keyword.arg is not None:
                    yield self._without(keyword)

    def _without(self, keyword: ast.keyword) -> Mutation:
        """An argument dropped, with the comma after it."""
        start, end = self._start(keyword), self._end(keyword)
        rest = self.source[end:]
        if rest.lstrip().startswith(","):
            end += len(rest) - len(rest.lstrip()) + 1
        return Mutation("argument dropped", keyword.lineno, start, end, "")

    def _replaced(self, node: ast.AST, kind: str, text: str) -> Mutation:
        return self._span(node, node, kind, text)

    def _span(self, first: ast.AST, last: ast.AST, kind: str, text: str) -> Mutation:
        line: int = first.lineno  # type: ignore[attr-defined]
        return Mutation(kind, line, self._start(first), self._end(last), text)

    def _text(self, node: ast.AST) -> str:
        return self.source[self._start(node) : self._end(node)]

    def _start(self, node: Any) -> int:
        return self._offset(node.lineno, node.col_offset)

    def _end(self, node: Any) -> int:
        return self._offset(node.end_lineno, node.end_col_offset)

    def _offset(self, line: int, column: int) -> int:
        text = self.lines[line - 1].encode()[:column].decode()
        return self.starts[line - 1] + len(text)
