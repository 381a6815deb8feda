"""What is changed in a reference answer to make a mutant of it: one small slip at a time.

An operator takes a node of the syntax tree and yields what may stand in its place: another node, or, for a statement,
also a list of statements. Nodes that it keeps are the very same objects, so that `mutants` can keep their text.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Replacement = ast.AST | list[ast.stmt]


@dataclass(frozen=True)
class Where:
    """The function of the learner's that a node stands in, and what an operator may want to know of it."""

    function: ast.FunctionDef
    needs_gradients: bool = False  # its docstring speaks of gradients, or a training loop goes through it
    own: frozenset[str] = field(default_factory=frozenset)  # functions that the chapter's file defines
    top_level_return: bool = True  # a return of the function itself, not of one inside it
    first_statement: bool = False  # of the function, after its docstring

    @property
    def returns(self) -> str:
        return ast.unparse(self.function.returns) if self.function.returns else ""

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self.function) or ""


# --- writing syntax trees -----------------------------------------------------------------------------------------


def build(template: str, *nodes: ast.AST) -> ast.expr:
    """The expression that a template spells, with nodes in the places of its names _0, _1, …"""

    class Put(ast.NodeTransformer):
        def visit_Name(self, name: ast.Name) -> ast.AST:
            return nodes[int(name.id[1:])] if re.fullmatch(r"_\d", name.id) else name

    return Put().visit(ast.parse(template, mode="eval").body)


def statement(template: str, *nodes: ast.AST) -> ast.stmt:
    """The same for one statement."""
    made = ast.parse(template).body[0]
    assert isinstance(made, ast.Assign | ast.Return | ast.Break | ast.Pass)
    if nodes:
        assert isinstance(made, ast.Return)
        made.value = build(ast.unparse(made.value), *nodes)  # type: ignore[arg-type]
    return made


def changed(node: ast.AST, **fields: object) -> ast.AST:
    """The node with other fields."""
    return type(node)(**{name: fields.get(name, value) for name, value in ast.iter_fields(node)})


def literal(value: object) -> ast.expr:
    return ast.parse(repr(value), mode="eval").body


def number(node: ast.AST | None) -> int | float | None:
    """The number that stands there, with its sign; None if it is something else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = number(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value  # type: ignore[return-value]
    return None


def last_name(node: ast.AST) -> str:
    """The name, or the last part of a dotted one; "" for anything else."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _same(a: ast.AST, b: ast.AST) -> bool:
    return ast.dump(a) == ast.dump(b)


def _swapped(items: list[ast.expr]) -> Iterator[list[ast.expr]]:
    """The list with two neighbours exchanged, in every way that changes it."""
    for i in range(len(items) - 1):
        if not _same(items[i], items[i + 1]) and not isinstance(items[i], ast.Starred):
            yield [*items[:i], items[i + 1], items[i], *items[i + 2 :]]


# --- expressions --------------------------------------------------------------------------------------------------

_OTHER_OPERATOR: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
_SYMMETRIC = (ast.Add, ast.Mult, ast.BitAnd, ast.BitOr, ast.BitXor)


def arithmetic(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """+ for −, × for /, & for |, and so on."""
    if not isinstance(node, ast.BinOp | ast.AugAssign) or type(node.op) not in _OTHER_OPERATOR:
        return
    if not any(_is_text(part) for part in ast.iter_child_nodes(node)):
        yield changed(node, op=_OTHER_OPERATOR[type(node.op)]())


def operand_dropped(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """A term, a factor, one of two conditions left out."""
    if isinstance(node, ast.BinOp) and not (_is_text(node.left) or _is_text(node.right)):
        yield node.left
        if isinstance(node.op, _SYMMETRIC):
            yield node.right
        elif isinstance(node.op, ast.Sub):
            yield build("-_0", node.right)
    if isinstance(node, ast.BoolOp):
        for i in range(len(node.values)):
            rest = node.values[:i] + node.values[i + 1 :]
            yield rest[0] if len(rest) == 1 else changed(node, values=rest)


def operands_exchanged(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """b − a for a − b, and so on for what is not symmetric."""
    if isinstance(node, ast.BinOp) and not isinstance(node.op, _SYMMETRIC) and not _same(node.left, node.right):
        yield changed(node, left=node.right, right=node.left)


_OTHER_COMPARISON: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip


def comparison(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """< for ≤, the other direction, the opposite."""
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            for other in _OTHER_COMPARISON[type(op)]:
                yield changed(node, ops=[*node.ops[:i], other(), *node.ops[i + 1 :]])


def logic(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """`and` for `or`, a negation dropped, a truth value flipped."""
    if isinstance(node, ast.BoolOp):
        yield changed(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
        yield node.operand
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield literal(not node.value)


def minus_dropped(node: ast.AST, where: Where) -> Iterator[Replacement]:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and number(node) is None:
        yield node.operand


def constant(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """A number one more, one less, negated, doubled, 0; of a fraction: negated, doubled, halved, 0."""
    value = number(node)
    if value is None:
        return
    others = [value + 1, value - 1, 0, -value, 2 * value]
    if isinstance(value, float):
        others = [0.0, -value, 2 * value, value / 2]
    for other in dict.fromkeys(others):
        if other != value:
            yield literal(other)


_AXES = ("dim", "axis", "dim1", "dim2")


def is_axis(node: ast.AST) -> bool:
    """`dim=…` with numbers: `axis` alone changes it."""
    if not isinstance(node, ast.keyword) or node.arg not in _AXES:
        return False
    parts = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
    return all(number(part) is not None for part in parts)


def axis(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """dim=-1 becomes -2, 0, 1, and the like; one of several axes is left out; a keyword is forgotten."""
    if not isinstance(node, ast.Call):
        return
    for i, keyword in enumerate(node.keywords):
        before, after = node.keywords[:i], node.keywords[i + 1 :]
        for other in _other_axes(keyword) if is_axis(keyword) else ():
            yield changed(node, keywords=[*before, changed(keyword, value=other), *after])
        if keyword.arg and not (isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, bool)):
            yield changed(node, keywords=[*before, *after])


def _other_axes(keyword: ast.keyword) -> Iterator[ast.expr]:
    if isinstance(keyword.value, ast.Tuple):
        yield from keyword.value.elts
    elif (now := number(keyword.value)) is not None:
        yield from (literal(other) for other in ((-2, -1, 0, 1) if now < 0 else (0, 1, 2)) if other != now)


def subscript(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """[:-1] becomes [1:], an end of a slice is forgotten, [:, -1] becomes [:, 0], indices change places."""
    if isinstance(node, ast.Slice):
        if node.lower is None and node.upper is not None and number(node.upper) == -1:
            yield changed(node, lower=literal(1), upper=None)
        if node.upper is None and node.lower is not None and number(node.lower) == 1:
            yield changed(node, lower=None, upper=literal(-1))
        for end in ("lower", "upper", "step"):
            if getattr(node, end) is not None:
                yield changed(node, **{end: None})
        for end in ("lower", "upper"):
            if (bound := getattr(node, end)) is not None and number(bound) is None:
                yield changed(node, **{end: build("_0 + 1", bound)})
                yield changed(node, **{end: build("_0 - 1", bound)})
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
        for elements in _swapped(node.slice.elts):
            yield changed(node, slice=ast.Tuple(elements, ast.Load()))


# What a learner forgets to write, as a method, a function of one tensor, or an attribute.
_FORGOTTEN = {
    "abs", "clone", "detach", "double", "float", "half", "sqrt", "pow", "exp", "log", "softmax", "log_softmax",
    "transpose", "flatten", "sort", "tril", "triu", "cumsum", "mean", "sum", "squeeze", "expand", "to", "item",
    "requires_grad_", "masked_fill", "scatter", "reshape", "view", "diagonal", "tanh", "cos", "sin", "sorted",
    "expand_as", "square", "unsqueeze", "norm", "removeprefix",
}  # fmt: skip
_FORGOTTEN_ATTRIBUTES = {"T", "mT", "real", "imag"}
_MODULES = {"torch", "math", "F", "einops", "np", "linalg"}


def call_dropped(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """x for x.abs(), x.T, math.sqrt(x), and for layer_norm(x, …) of an earlier exercise."""
    if isinstance(node, ast.Attribute) and node.attr in _FORGOTTEN_ATTRIBUTES:
        yield node.value
    if not isinstance(node, ast.Call):
        return
    if isinstance(node.func, ast.Attribute):
        plain = last_name(node.func.value) in _MODULES  # torch.abs(x), not x.abs()
        forgotten = node.func.attr in _FORGOTTEN
        if forgotten and not plain:
            yield node.func.value
    else:
        plain, forgotten = True, last_name(node.func) in _FORGOTTEN | where.own
    if forgotten and plain and node.args:
        yield node.args[0]


_PAIRS = (
    ("var", "std"), ("argmax", "argmin"), ("max", "min"), ("amax", "amin"), ("sum", "mean"), ("any", "all"),
    ("cos", "sin"), ("softmax", "log_softmax"), ("tril", "triu"), ("ones", "zeros"), ("ones_like", "zeros_like"),
    ("repeat", "repeat_interleave"), ("randn", "rand"), ("real", "imag"), ("startswith", "endswith"),
    ("indices", "values"), ("log", "log2"), ("float64", "float32"), ("right", "wrong"), ("items", "values"),
)  # fmt: skip
_EXCHANGED = dict(_PAIRS) | {b: a for a, b in _PAIRS if (a, b) != ("float64", "float32")}
_EXCHANGED |= {"float32": "float16", "double": "float", "float": "half", "long": "int", "abs": "square"}


def name_exchanged(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """The sister function: std for var, sum for mean, argmin for argmax; a narrower dtype."""
    if isinstance(node, ast.Attribute) and node.attr in _EXCHANGED:
        yield changed(node, attr=_EXCHANGED[node.attr])
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("max", "min", "any", "all"):
        yield changed(node, func=ast.Name(_EXCHANGED[node.func.id], ast.Load()))


def estimator(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """n for n − 1 in a variance, and the reverse."""
    if not isinstance(node, ast.Call) or last_name(node.func) not in ("var", "std"):
        return
    if not any(keyword.arg in ("unbiased", "correction") for keyword in node.keywords):
        yield changed(node, keywords=[*node.keywords, ast.keyword("correction", literal(0))])


def arguments_exchanged(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """Two neighbours among a call's arguments, a tuple's or list's elements, or a dictionary's values."""
    if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in ("max", "min", "range")):
        for arguments in _swapped(node.args):
            yield changed(node, args=arguments)
    if isinstance(node, ast.Tuple | ast.List) and isinstance(node.ctx, ast.Load):
        for elements in _swapped(node.elts):
            yield changed(node, elts=elements)
    if isinstance(node, ast.Dict):
        for values in _swapped(node.values):
            yield changed(node, values=values)


def span(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """`range` and `arange`: one more or one less at the end, one later at the start."""
    if not isinstance(node, ast.Call) or not node.args:
        return
    if last_name(node.func) in ("range", "arange"):
        end = min(1, len(node.args) - 1)
        for template in ("_0 + 1", "_0 - 1"):
            if number(node.args[end]) is None:
                yield changed(node, args=[*node.args[:end], build(template, node.args[end]), *node.args[end + 1 :]])
        if len(node.args) == 1:
            yield changed(node, args=[literal(1), *node.args])


def pattern(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """An einsum or einops pattern in which two letters or names have changed places."""
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str) and "->" in node.value):
        return
    words = bool(re.search(r"\w\w|\s\w+\s", node.value)) and " " in node.value.split("->")[0].strip()
    found = list(re.finditer(r"\w+" if words else r"\w", node.value))
    for first, second in itertools.pairwise(found):
        between = node.value[first.end() : second.start()]
        if "->" not in between and "," not in between and first[0] != second[0]:
            text = node.value[: first.start()] + second[0] + between + first[0] + node.value[second.end() :]
            yield literal(text)


def condition(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """One branch only: of an if expression, of an if statement; a comprehension's condition left out."""
    if isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
    if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
        for i, part in enumerate(node.generators):
            for j in range(len(part.ifs)):
                other = changed(part, ifs=part.ifs[:j] + part.ifs[j + 1 :])
                yield changed(node, generators=[*node.generators[:i], other, *node.generators[i + 1 :]])


def tested(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """What an `if` or the condition of a comprehension asks (told by `mutants`): always so, never so."""
    yield literal(True)
    yield literal(False)


def gone_through(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """What a `for` goes through (told by `mutants`): the last or the first left out, the first alone, backwards."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        yield build("list(_0)[::-1]", node)
        return
    for piece in ("[:-1]", "[1:]", "[:1]", "[::-1]"):
        yield build(f"list(_0){piece}", node)


# --- statements ---------------------------------------------------------------------------------------------------


def dropped(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """A statement that acts, left out: a call, an assignment to a part of something, `x += 1`."""
    is_call = isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
    in_place = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript)
    rebinds = (
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in {name.id for name in ast.walk(node.value) if isinstance(name, ast.Name)}
    )
    if is_call or in_place or rebinds or isinstance(node, ast.AugAssign):
        yield [statement("pass")]


def in_place(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """x −= m for x = x − m: it also changes the x that the caller holds."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.BinOp(left=ast.Name(id=same), op=op, right=right)):
            if name == same and not isinstance(op, ast.MatMult):
                yield [ast.AugAssign(ast.Name(name, ast.Store()), op, right)]


def last_of_loop(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """The last statement of a loop (told by `mutants`), and then the end of it."""
    assert isinstance(node, ast.stmt)
    yield [node, statement("break")]


def result(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """What is returned: negated, transposed, narrowed, without its gradients."""
    if not (isinstance(node, ast.Return) and node.value and where.top_level_return):
        return
    returns, value = where.returns, node.value
    if isinstance(value, ast.Tuple | ast.List | ast.Dict | ast.ListComp):
        return
    tensor = re.match(r"Float\[|Tensor\b", returns) is not None
    if tensor or returns == "float":
        yield statement("return -_0", value)
    if shape := re.match(r"\w+\[Tensor, ['\"]([^'\"]*)", returns):
        axes = shape[1].split()
        yield from [statement("return _0.mT", value)] * (len(axes) >= 2 or "..." in axes)
    if tensor and "float64" in where.docstring:
        yield statement("return _0.float()", value)
    if tensor and where.needs_gradients:
        yield statement("return _0.detach()", value)


_BUNDLED: dict[str, tuple[object, ...]] = {
    "p": (113,), "n_heads": (4,), "samples": (300,), "eps": (1e-5,), "epsilon": (1e-5,), "lr": (1e-3,),
    "learning_rate": (1e-3,), "weight_decay": (1.0,), "temperature": (1.0,),
}  # fmt: skip
_PLAIN: dict[str, tuple[object, ...]] = {"int": (0, 1), "float": (0.0, 1.0), "bool": (True, False)}


def parameter_ignored(node: ast.AST, where: Where) -> Iterator[Replacement]:
    """Before the first statement, a parameter is set: to its default, to what is bundled, to something plain.

    A tensor becomes zeros or ones, or its first row stands for all of its rows; a list loses all but its first or its
    last item.
    """
    if not where.first_statement:
        return
    assert isinstance(node, ast.stmt)
    arguments = where.function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    defaults: dict[str, ast.expr] = {}
    positional = [*arguments.posonlyargs, *arguments.args]
    for argument, default in zip(reversed(positional), reversed(arguments.defaults), strict=False):
        defaults[argument.arg] = default
    for argument, given in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if given is not None:
            defaults[argument.arg] = given
    for argument in every:
        texts = dict.fromkeys(_instead(argument, defaults.get(argument.arg)))
        for text in texts:
            yield [statement(f"{argument.arg} = {text}"), node]


def _instead(argument: ast.arg, default: ast.expr | None) -> Iterator[str]:
    name = argument.arg
    annotation = ast.unparse(argument.annotation) if argument.annotation else ""
    if default is not None:
        yield ast.unparse(default)
    bundled = [value for value in _BUNDLED.get(name, ()) if type(value).__name__ == annotation]
    for value in bundled or _PLAIN.get(annotation, ()):
        yield repr(value)
    if re.match(r"(Float|Int|Bool)\[Tensor|Tensor$", annotation):
        yield f"torch.zeros_like({name})"
        yield f"torch.ones_like({name})"
        if re.search(r"Tensor, ['\"][a-z.]", annotation):
            yield f"{name}[:1].expand_as({name})"
    elif annotation.startswith("list["):
        yield f"{name}[:1]"
        yield f"{name}[-1:]"


Operator = Callable[[ast.AST, Where], Iterator[Replacement]]
EXPRESSIONS: tuple[Operator, ...] = (
    arithmetic, operand_dropped, operands_exchanged, comparison, logic, minus_dropped, constant, axis, subscript,
    call_dropped, name_exchanged, estimator, arguments_exchanged, span, pattern, condition,
)  # fmt: skip
STATEMENTS: tuple[Operator, ...] = (arithmetic, dropped, in_place, result, parameter_ignored)
