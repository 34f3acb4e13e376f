"""What a student must leave as it was: function definitions and imports, compared by syntax tree."""

import ast
from dataclasses import dataclass

from course.collect.loops import functions_of

SOURCES = ("*.py", "style_modules/*.py", "visualizers/*.py")  # what is handed in
RECORD = "skeleton.json"  # the outline of the files as they were handed out


@dataclass(frozen=True)
class Finding:
    """Something to mend before handing in.

    Attributes:
        file: its path in the project, or what else it is about.
        line: line number from 1, or 0 for the file as a whole.
        message: what is wrong and the likely mistake.
    """

    file: str
    line: int
    message: str

    def __str__(self):
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


def source_files(root):
    """List the Python files that are handed in: paths relative to `root`, forward slashes, sorted."""
    return sorted(p.relative_to(root).as_posix() for pattern in SOURCES for p in root.glob(pattern) if p.is_file())


def outline(source):
    """Describe a file: its imports, its functions with their arguments, its classes with their bases, its prints.

    Args:
        source: text or bytes of a Python file.

    Returns:
        dict of plain values: imports with the line they stand in, the other dicts with how the thing is written.
    """
    tree = ast.parse(source)
    functions = {name: node for name, node in functions_of(tree).items() if not isinstance(node, ast.Lambda)}
    return {
        "imports": {line: node.lineno for node in ast.walk(tree) for line in _imported(node)},
        "functions": {name: _signature(node) for name, node in functions.items()},
        "classes": {n.name: _bases(n) for n in ast.walk(tree) if isinstance(n, ast.ClassDef)},
        "prints": sorted(ast.unparse(node) for node in _prints(tree)),
    }


def _imported(node):
    """Yield one line for each name that an import statement brings in."""
    if isinstance(node, ast.Import):
        yield from (f"import {_alias(alias)}" for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (f"from {'.' * node.level}{node.module or ''} import {_alias(alias)}" for alias in node.names)


def _alias(alias):
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name


def _signature(node):
    decorators = "".join(f"@{ast.unparse(d)} " for d in node.decorator_list)
    return f"{decorators}({ast.unparse(node.args)})"


def _bases(node):
    return ", ".join(ast.unparse(base) for base in node.bases)


def _prints(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.stdout.write", "pprint"):
            yield node


def changes(file, skeleton, source):
    """Compare a student's file with what was handed out.

    Helper functions and classes may be added. Definitions, imports and what is printed must be as they were.

    Args:
        file: its path, for the findings.
        skeleton: `outline` of the file as handed out.
        source: text or bytes of the student's file, which parses.

    Returns:
        List of Findings.
    """
    tree, now = ast.parse(source), outline(source)
    nodes = functions_of(tree)
    findings = []
    for name, signature in skeleton["functions"].items():
        if name not in now["functions"]:
            findings.append(Finding(file, _class_line(tree, name), f"{name}{signature} is gone; was it renamed?"))
        elif now["functions"][name] != signature:
            new = now["functions"][name]
            message = f"{name} was defined as {signature} and is now {new}; the tests call it as it was"
            findings.append(Finding(file, nodes[name].lineno, message))
    for name, bases in skeleton["classes"].items():
        if now["classes"].get(name) != bases:
            findings.append(Finding(file, 0, f"class {name}({bases}) was changed or removed"))
    findings += _changed_imports(file, skeleton["imports"], now["imports"])
    surplus = list(skeleton["prints"])
    for node in _prints(tree):
        text = ast.unparse(node)
        if text in surplus:
            surplus.remove(text)
        else:
            findings.append(
                Finding(file, node.lineno, f"{text} prints what is not asked for; left from debugging?")
            )
    return findings


def _class_line(tree, name):
    owner = name.partition(".")[0]
    return next((n.lineno for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == owner), 0)


def _changed_imports(file, before, now):
    for line in sorted(before.keys() - now.keys()):
        yield Finding(file, 0, f"'{line}' of line {before[line]} was removed; imports must stay as handed out")
    for line in sorted(now.keys() - before.keys(), key=now.get):
        message = f"'{line}' was added; the marking machine may lack it, and imports must stay as handed out"
        yield Finding(file, now[line], message)
