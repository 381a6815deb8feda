"""What a submission's text gives away before it runs: library functions that are the answer, reaches for the grader.

The judge reads the text as a syntax tree and follows names as far as plain reading goes: imports, aliases, attribute
chains, `getattr` and `importlib.import_module` with literal text (also by the name of a text), `sys.modules[...]`,
`vars(...)`, `exec("...")`, and texts that are the function's whole name. It executes nothing. Whoever builds a name at
run time is not seen here, but by `watch` in the learner's process, which hostile code can silence. The report is for a
person to look at.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from mi_lib.course import sections

# What reaches for the grader, for other processes or for the machine.
TOO_DEEP = "=deep"
_REACHES = {
    "changes how tests work": ("pytest", "_pytest", "unittest", "mi_lib.course", "numpy.testing",
                               "torch.testing"),
    "looks through memory": ("gc", "sys._getframe", "sys._current_frames", "inspect.currentframe", "inspect.stack"),
    "changes how imports work": ("sys.meta_path", "sys.path_hooks", "sys.modules", "importlib.reload", "builtins"),
    "follows what runs": ("sys.settrace", "sys.setprofile", "sys.addaudithook", "threading.settrace",
                          "sys.monitoring"),
    "acts at the end": ("atexit",),
    "writes to memory": ("ctypes", "cffi", "mmap"),
    "starts processes": ("os.fork", "os.forkpty", "os.system", "os.posix_spawn", "os.exec", "subprocess",
                         "multiprocessing", "os.setsid", "pty"),
    "starts threads": ("threading.Thread", "_thread", "concurrent.futures", "signal.setitimer"),
    "sends signals": ("os.kill", "os.killpg", "signal.pthread_kill", "os.getppid"),
    "uses the network": ("socket", "urllib", "http", "requests", "asyncio.open_connection", "ssl"),
    "writes to the line": ("os.write", "os.dup2", "os.dup", "os.close", "os.closerange", "os.fdopen", "os.sendfile"),
    "reaches for files": ("open", "io.open", "os.open", "os.link", "os.symlink", "os.mknod", "os.mkfifo", "os.listdir",
                          "os.walk", "os.scandir", "os.environ", "os.chmod", "os.stat", "os.lstat", "os.access",
                          "os.path.exists", "shutil", "pathlib", "glob", "tempfile"),
    "reads code from a file or text": ("exec", "eval", "compile", "runpy", "importlib.util", "importlib.machinery",
                                       "inspect.getsource", "inspect.getsourcelines", "linecache", "zipimport"),
    "ends the process": ("os._exit", "os.abort", "sys.exit"),
    "changes limits": ("resource",),
    "changes its turn": ("os.sched_setscheduler", "os.sched_setparam", "os.sched_setaffinity", "os.setpriority",
                         "os.nice"),
}  # fmt: skip
MAX_SECTION = 40_000  # characters of a section that is read and run: the references have 4,000 at most
MAX_FILE = 200_000  # characters of all sections together: the references have 28,000 at most
_DEEP = 60  # pieces of a text, or of a dotted path, that are put together
_STARS = 8  # modules of which all names are imported
_CODE_FROM_FILES = ("importlib.util", "importlib.machinery", "runpy", "zipimport", "imp")
_OWN_FILE = re.compile(r"\.__(?:file|loader|spec|cached|path)__(?:\.|$)")
_BEHIND = {"__closure__", "cell_contents", "__code__", "__globals__", "__wrapped__", "FunctionType", "__builtins__"}
_LINES = re.compile("\r\n|\r|\n")  # as Python counts them: a form feed ends a line in a text, and none of code
_METHODS = {"__eq__", "__array__", "__torch_function__", "__torch_dispatch__", "__array_ufunc__", "__bool__", "__del__"}


def library_uses(text: str, exercise_id: str, answered_by: Sequence[str], handed_out: str = "") -> list[str]:
    """Where the text uses library functions that are the answer ("module:name"): "mi_lib.lens.rank (line 7)".

    text: the whole file; only what is executed for this exercise is read. handed_out: the stub, whose lines are not
    the learner's.
    """
    given = {line.strip() for line in handed_out.splitlines()}
    lines = _LINES.split(text)
    found: dict[str, None] = {}
    named = (*_named_in_texts(text, exercise_id, answered_by), *_from_its_file(text, exercise_id, answered_by))
    for line, path in (*_paths(text, exercise_id), *named):
        if any(_is(path, name) for name in answered_by) and lines[line - 1].strip() not in given:
            found[f"{path} (line {line})"] = None
    return list(found)


def _from_its_file(text: str, exercise_id: str, answered_by: Sequence[str]) -> list[tuple[int, str]]:
    """Where code is read from a file, such as that of the library's module, while such a function is named."""
    paths = _paths(text, exercise_id)
    reads = [line for line, path in paths if path.startswith(_CODE_FROM_FILES) or _OWN_FILE.search(path)]
    if not reads or not answered_by:
        return []
    nodes = [node for tree in _trees(text, exercise_id) for node in ast.walk(tree)]
    named = {node.attr for node in nodes if isinstance(node, ast.Attribute)} | {_text(node) for node in nodes}
    return [(reads[0], name.replace(":", ".")) for name in answered_by if name.partition(":")[2] in named]


def _named_in_texts(text: str, exercise_id: str, answered_by: Sequence[str]) -> list[tuple[int, str]]:
    """Where a text is the whole name of such a function, or of its module while the function is named elsewhere."""
    nodes = [node for tree in _trees(text, exercise_id) for node in ast.walk(tree)] if answered_by else []
    texts = [(getattr(node, "lineno", 1), said) for node in nodes if (said := _text(node))]
    named = {said for _, said in texts} | {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    found = []
    for module, _, attribute in (name.partition(":") for name in answered_by):
        whole = f"{module}.{attribute}"
        for line, said in texts:
            if said.replace(":", ".") == whole or (said == module and attribute in named):
                found.append((line, whole))
    return found


def signs(text: str, exercise_id: str) -> list[str]:
    """What in the text reaches for the grader or the machine instead of the exercise, in words with lines."""
    found: dict[str, None] = {}
    for line, path in _paths(text, exercise_id):
        if what := _reach(path):
            found.setdefault(f"{what}: {path} (line {line})")
    for tree in _trees(text, exercise_id):
        for node in ast.walk(tree):
            if (method := _given(node)) in _METHODS:
                found.setdefault(f"decides how objects compare: {method} (line {getattr(node, 'lineno', 1)})")
            behind = node.attr if isinstance(node, ast.Attribute) else _text(node)
            if behind in _BEHIND:
                found.setdefault(f"looks behind functions: {behind} (line {getattr(node, 'lineno', 1)})")
    return list(found)


def _given(node: ast.AST) -> str:
    """The name that a definition or an assignment gives to something; a text may be one too (`setattr`, `type(…)`)."""
    if isinstance(node, ast.FunctionDef):
        return node.name
    if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
        return node.id if isinstance(node, ast.Name) else node.attr
    return _text(node) or ""


def _is(path: str, name: str) -> bool:
    """Whether a dotted path leads to "module:name", or through it, by the module or one of its parts."""
    module, _, attribute = name.partition(":")
    return path.startswith(module + ".") and f".{attribute}." in path[len(module) :] + "."


def _reach(path: str) -> str:
    for what, names in _REACHES.items():
        if any(path == name or path.startswith(name + ".") for name in names):
            return what
    if path == TOO_DEEP:
        return "is nested too deep to be read"
    module, _, attribute = path.rpartition(".")
    return "replaces" if module.startswith("=torch") and attribute else ""


def _trees(text: str, exercise_id: str) -> Iterator[ast.AST]:
    """The sections that are executed for an exercise, as trees with the lines of the whole file."""
    try:
        parts = sections.split(text)
    except sections.SectionError:
        return
    line = 0
    for name, part in parts.items():
        run = name in ("", "setup") or _order(name) <= _order(exercise_id)
        if run and len(part) <= MAX_SECTION and len(text) <= MAX_FILE:
            with suppress(SyntaxError, ValueError, RecursionError, MemoryError):  # it will not run either
                yield _parsed(part, line)
        line += part.count("\n")


@functools.lru_cache(maxsize=32)  # a submission's sections are read again for each of its exercises
def _parsed(part: str, lines_before: int) -> ast.AST:
    return ast.parse("\n" * lines_before + part)


def _order(section: str) -> tuple[int, ...]:
    return tuple(int(part) for part in section.split(".") if part.isdigit()) or (10**6,)


@functools.lru_cache(maxsize=8)
def _paths(text: str, exercise_id: str) -> tuple[tuple[int, str], ...]:
    """Every dotted path that the text names, with its line: (7, "mi_lib.lens.rank"). "=torch.x" is set, not read."""
    reader = _Reader()
    for tree in _trees(text, exercise_id):
        try:
            reader.visit(tree)
        except RecursionError:
            reader.found.append((1, TOO_DEEP))
    return tuple(reader.found)


class _Reader(ast.NodeVisitor):
    """Follows names through imports and assignments, in the order of the text."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}  # what a name stands for; "" for the learner's own
        self.texts: dict[str, str] = {}  # what a name spells
        self.stars: list[str] = []  # modules of which all names were imported
        self.found: list[tuple[int, str]] = []

    def note(self, node: ast.AST, path: str) -> None:
        self.found.append((getattr(node, "lineno", 1), path))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            top = alias.name.split(".")[0]
            self.names[alias.asname or top] = alias.name if alias.asname else top
            self.note(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            path = f"{node.module}.{alias.name}"
            if alias.name == "*":
                if str(node.module) not in self.stars and len(self.stars) < _STARS:
                    self.stars.append(str(node.module))
            else:
                self.names[alias.asname or alias.name] = path
            self.note(node, path)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        path = self.path(node.value)
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.names[target.id] = path
                self.texts[target.id] = self.text(node.value)
            elif target_path := self.path(target):
                self.note(target, "=" + target_path)
                self.note(target, target_path)
            else:
                self.visit(target)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.names[node.name] = ""  # the learner's own from here on
        self.generic_visit(node)

    visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef

    def visit_Name(self, node: ast.Name) -> None:
        if node.id not in self.names and node.id not in _BUILTIN:
            for module in self.stars:  # whichever of them has it
                self.note(node, f"{module}.{node.id}")
        elif path := self.path(node):
            self.note(node, path)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if path := self.path(node):
            self.note(node, path)
        else:
            self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if path := self.path(node):
            self.note(node, path)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if path := self.path(node):
            self.note(node, path)
        if self.path(node.func) in ("exec", "eval") and node.args and (inner := self.text(node.args[0])):
            try:
                for part in ast.walk(tree := ast.parse(inner)):
                    if hasattr(part, "lineno"):
                        part.lineno = node.lineno
                self.visit(tree)
            except (SyntaxError, ValueError):
                pass
        self.generic_visit(node)

    def path(self, node: ast.AST) -> str:
        """The dotted path that an expression leads to, "" if plain reading does not tell."""
        deep, links = 0, node
        while isinstance(links, ast.Attribute | ast.Subscript) and deep <= _DEEP:
            deep, links = deep + 1, links.value
        if deep > _DEEP:
            return ""
        if isinstance(node, ast.Name):
            if node.id in self.names or node.id in _BUILTIN:
                return self.names.get(node.id, node.id)
            return f"{self.stars[-1]}.{node.id}" if self.stars else ""
        if isinstance(node, ast.Attribute):
            value = self.path(node.value)
            return f"{value}.{node.attr}" if value and node.attr != "__dict__" else value
        if isinstance(node, ast.Subscript):
            value, key = self.path(node.value), self.text(node.slice)
            if key and value == "sys.modules":
                return key
            return f"{value}.{key}" if key and value else ""
        return self._called(node) if isinstance(node, ast.Call) else ""

    def text(self, node: ast.AST) -> str:
        """What an expression spells, also by the name of a text."""
        return self.texts.get(node.id, "") if isinstance(node, ast.Name) else _text(node)

    def _called(self, node: ast.Call) -> str:
        function, texts = self.path(node.func), [self.text(argument) for argument in node.args]
        if function in ("importlib.import_module", "__import__") and texts and texts[0]:
            return texts[0]
        if function == "getattr" and len(texts) > 1 and texts[1] and (value := self.path(node.args[0])):
            return f"{value}.{texts[1]}"
        if function == "vars" and node.args:
            return self.path(node.args[0])
        return ""


_BUILTIN = {"getattr", "vars", "__import__", "exec", "eval", "compile", "open"}


def _text(node: ast.AST, deep: int = 0) -> str:
    """A text that stands there in so many letters, pieces joined by + included (as many as anybody writes)."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if deep > _DEEP:
        return ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        right = _text(node.right, deep + 1)
        left = _text(node.left, deep + 1) if right else ""
        return left + right if left else ""
    if isinstance(node, ast.JoinedStr):
        parts = [_text(value, deep + 1) for value in node.values[:_DEEP]]
        return "".join(parts) if all(parts) and len(parts) == len(node.values) else ""
    return ""


# --- in the learner's process -----------------------------------------------------------------------------------------


def watch(names: Iterable[str], called: Callable[[str], None]) -> dict[str, Callable[..., Any]]:
    """Have `called(name)` run whenever code that is not the library's calls one of these functions or makes one of
    these classes, by whatever name. What it raises reaches the caller. Returns the functions themselves by name."""
    originals = {}
    for name in names:
        module_name, _, attribute = name.partition(":")
        try:
            original = getattr(importlib.import_module(module_name), attribute)
        except (ImportError, AttributeError):
            continue
        if isinstance(original, type):  # the library asks what is an instance of it, so the class itself stays
            original.__init__ = _watched(original.__init__, name, called)  # type: ignore[misc]
            continue
        originals[name] = original
        stand_in = _watched(original, name, called)
        for module in [m for n, m in list(sys.modules.items()) if n.split(".")[0] == "mi_lib" and m is not None]:
            for own_name, value in list(vars(module).items()):
                if value is original:
                    setattr(module, own_name, stand_in)
    return originals


def _watched(original: Callable[..., Any], name: str, called: Callable[[str], None]) -> Callable[..., Any]:
    @functools.wraps(original)
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        if not _of_the_library(sys._getframe(1).f_globals):
            called(name)
        return original(*args, **kwargs)

    del stand_in.__wrapped__  # type: ignore[attr-defined] # the way around it
    return stand_in


def _of_the_library(names: dict[str, Any]) -> bool:
    """Whether a frame's global names are those of one of the library's modules, and not of one that says so."""
    module = str(names.get("__name__"))
    return module.split(".")[0] == "mi_lib" and getattr(sys.modules.get(module), "__dict__", None) is names


def words(name: str) -> str:
    """ "mi_lib.lens:rank" as it stands in reports."""
    return name.replace(":", ".")
