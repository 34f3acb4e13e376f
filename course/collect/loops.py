"""Finding loops by syntax tree: in a function that must be vectorised, and in those of its file that it calls.

What a program can hide from a syntax tree (a loop in another file or in a library) shows when operations are
counted.
"""

import ast
from dataclasses import dataclass

STATEMENTS = {
    ast.For: "a for loop",
    ast.AsyncFor: "a for loop",
    ast.While: "a while loop",
    ast.ListComp: "a list comprehension",
    ast.SetComp: "a set comprehension",
    ast.DictComp: "a dict comprehension",
    ast.GeneratorExp: "a generator expression",
}
REPEATS = {"map", "filter", "reduce", "functools.reduce", "torch.vmap", "vmap", "np.vectorize", "numpy.vectorize"}
HIDES = {"eval", "exec", "compile", "__import__"}


@dataclass(frozen=True)
class Loop:
    """Something that repeats: its line, counted from 1, and what it is."""

    line: int
    what: str


def find_loops(source, function):
    """Find everything that repeats in a function, or in a function of the same file that it calls.

    Args:
        source: text or bytes of a Python file.
        function: dotted name, such as "TotalVariationLoss.forward".

    Returns:
        List of Loops, ordered by line.
    """
    functions, found, seen = functions_of(ast.parse(source)), set(), set()
    if function not in functions:
        return [Loop(1, f"{function} out of sight: it must be defined in this file, in its class")]

    def visit(name, path):
        if name in path:
            found.add(Loop(functions[name].lineno, f"recursion through {name.rpartition('.')[2]}"))
        if name in seen or name in path:
            return
        for node in ast.walk(functions[name]):
            if type(node) in STATEMENTS:
                found.add(Loop(node.lineno, STATEMENTS[type(node)]))
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called in REPEATS:
                found.add(Loop(node.lineno, f"{called}, which repeats a function"))
            elif called in HIDES:
                found.add(Loop(node.lineno, f"{called}, which runs code that cannot be read"))
            method = (
                called.replace("self", function.partition(".")[0], 1) if called.startswith("self.") else called
            )
            for target in {method, f"{name}.{called}"} & set(functions):
                visit(target, (*path, name))
        seen.add(name)

    visit(function, ())
    return sorted(found, key=lambda loop: (loop.line, loop.what))


def functions_of(tree, prefix=""):
    """Return dict from dotted name to node of all functions and named lambdas, at any depth."""
    functions = {}
    for node in ast.iter_child_nodes(tree):
        here = prefix
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            here = f"{prefix}{node.name}."
            if not isinstance(node, ast.ClassDef):
                functions[here[:-1]] = node
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            functions |= {prefix + t.id: node.value for t in node.targets if isinstance(t, ast.Name)}
        functions |= functions_of(node, here)
    return functions
