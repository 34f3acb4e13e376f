"""Finding loops by syntax tree: a function that shall be vectorised may not repeat anything, under whatever name.

Every function of the same file that it mentions is searched too. What a program can hide from a syntax tree (code
in strings, a loop in a library) is either forbidden by name here or shows when the operations are counted.
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
NAMES = {  # functions that repeat another one, or that run what a syntax tree does not show
    **dict.fromkeys(("map", "filter", "reduce", "accumulate", "starmap"), "repeats a function"),
    **dict.fromkeys(("vectorize", "apply_along_axis", "apply_over_axes", "fromfunction", "fromiter"), "is a loop"),
    **dict.fromkeys(("vmap", "scan", "while_loop", "map_", "apply_"), "repeats a function"),
    **dict.fromkeys(("eval", "exec", "compile", "__import__", "import_module"), "runs code that cannot be read"),
}


@dataclass(frozen=True)
class Loop:
    """Something that repeats: its line, counted from 1, and what it is."""

    line: int
    what: str


def find_loops(source, function):
    """Find everything that repeats in a function, or in a function of the same file that it mentions.

    Args:
        source: text of a Python file.
        function: dotted name, such as "TotalVariationLoss.forward".

    Returns:
        List of Loops, ordered by line; empty also if there is no such function.
    """
    functions = functions_of(ast.parse(source))
    by_last_name = {}
    for name, node in functions.items():
        by_last_name.setdefault(name.rpartition(".")[2], []).append((name, node))
    found, seen = set(), set()

    def visit(name, node, path):
        if name in path:
            found.add(Loop(node.lineno, f"recursion through {name.rpartition('.')[2]}"))
        if name in seen or name in path:
            return
        for part in ast.walk(node):
            if type(part) in STATEMENTS:
                found.add(Loop(part.lineno, STATEMENTS[type(part)]))
            mentioned = _mentioned(part)
            if mentioned in NAMES:
                found.add(Loop(part.lineno, f"{mentioned}, which {NAMES[mentioned]}"))
            for target, other in by_last_name.get(mentioned, ()):
                visit(target, other, (*path, name))
        seen.add(name)

    if function not in functions:
        return [Loop(1, f"{function} out of sight: it must be defined in this file, in its class")]
    visit(function, functions[function], ())
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


def _mentioned(node):
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None
