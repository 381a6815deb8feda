"""The sentences for a learner whose code did not come as far as giving a wrong answer."""

from __future__ import annotations

import signal


def exited(code: object) -> str:
    """After `exit()`, `sys.exit()` or `raise SystemExit`."""
    return (
        f"Your code ended the Python process (exit({code})), so there was no answer to look at. "
        "Take exit(), quit() or sys.exit() out; to leave a function, use `return`."
    )


def ended(status: int) -> str:
    """After the process ended by itself. `status` is an exit code, or minus the number of a signal."""
    if status >= 0:
        return (
            f"Your code ended the Python process (os._exit({status}) or the like) during a test, so there was "
            "no answer to look at. Take that call out; to leave a function, use `return`."
        )
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    what = {
        "SIGSEGV": "read or wrote memory that is not its own (a segmentation fault, SIGSEGV)",
        "SIGABRT": "was stopped by an internal check of a library (SIGABRT)",
        "SIGBUS": "read memory that is not there (SIGBUS)",
        "SIGFPE": "divided whole numbers by zero inside a library (SIGFPE)",
    }.get(name, f"was ended by {name}")
    return (
        f"Your code crashed Python itself: it {what}. Nothing else is affected. "
        "Look for ctypes, for very deep recursion, or for os.kill; then check again."
    )


def killed_by_system() -> str:
    """After a SIGKILL that was not ours."""
    return (
        "The system stopped your code, most likely because it used too much memory. Look for a tensor that is larger "
        "than you think (print the shapes), or for a list that grows without end."
    )


def timed_out(seconds: float) -> str:
    return (
        f"Your code was still running after {seconds:g} seconds, so it was stopped. Look for a loop that never ends, "
        "or for a Python loop over something large where one tensor operation would do."
    )


def halted() -> str:
    """After the learner has stopped the check."""
    return (
        "You stopped this check while your code was still running. It counts as no attempt. If it should not take so "
        "long, look for a loop that never ends."
    )


def too_much_output(limit: int) -> str:
    return (
        f"Your code printed more than {limit // 10**6} MB, so it was stopped. "
        "Take the print out of the loop, or print a summary such as the shape."
    )


def too_many_processes(limit: int) -> str:
    return (
        f"Your code started more than {limit} processes, so it was stopped. "
        "No exercise needs processes of its own: take os.fork, subprocess or multiprocessing out."
    )


def too_much_disk(limit: int) -> str:
    return (
        f"Your code wrote more than {limit // 2**20} MB of files (or thousands of them), so it was stopped. "
        "No exercise needs files: take the writing out."
    )


def refused(text: str) -> str:
    return (
        f"Your code reached for something that is out of its reach while it is graded ({text}). Only its own empty "
        "folder, the library and the installed packages are there: no other files, no network, no other processes."
    )


def library(exercise_id: str, uses: list[str]) -> str:
    return (
        f"Exercise {exercise_id} asks you to write what the library has already, and your answer takes it from there: "
        f"{'; '.join(uses)}. Write it yourself; to compare your answer with the library's, do so outside of this file."
    )


def submission_over(seconds: float) -> str:
    return f"Not run, because the exercises before it used up the {seconds:g} seconds that a whole submission may take."


def too_large(what: str) -> str:
    return (
        f"What your code returned is too large to be handed to the tests: {what.replace('torch.', '')}. "
        "Return what the exercise asks for and nothing else; print its shape."
    )


def out_of_memory(gigabytes: float) -> str:
    return (
        f"Your code asked for more memory than the {gigabytes:.2g} GB an exercise may use. Look for a tensor that is "
        "larger than you think: print the shapes, and check what is broadcast against what."
    )


def not_started(exercise_id: str, name: str) -> str:
    return f"Exercise {exercise_id} is not written yet: replace `raise NotImplementedError` in {name} by your answer."


def needs_other(exercise_id: str, other: str) -> str:
    return (
        f"Exercise {exercise_id} calls your own answer to {other}, which is not written yet. Write {other} first "
        "(its stub still raises NotImplementedError)."
    )


def needs_broken(exercise_id: str, name: str, other: str, error: str) -> str:
    return (
        f"Exercise {exercise_id} uses {name} from your section {other}, and that section could not be run: {error} "
        f"Mend {other} first."
    )


def section_missing(exercise_id: str, name: str) -> str:
    return (
        f"There is no {name} in your file. It belongs into the section that starts with `# %% [{exercise_id}]`; "
        f"`mi reset {exercise_id}` brings the original section back and keeps a copy of yours."
    )


def name_missing(name: str, exercise_id: str) -> str:
    return (
        f"There is no {name} in your section {exercise_id}. Keep the name that the exercise gives it: "
        "the tests look for exactly that."
    )


def raised(type_name: str, text: str, line: int | None) -> str:
    where = f" on line {line} of your file" if line else ""
    what = f": {text.rstrip('.')}" if text.strip() else ""
    return f"Your code raised {type_name}{where}{what}."


def no_input(function: str) -> str:
    """What input() and breakpoint() say inside graded code."""
    return (
        f"{function} cannot be used while your code is graded, because nobody is there to type. Take it out, or run "
        "`mi check EXERCISE --debug`, where it works"
    )


def course_fault(error: str, where: str, last: str) -> str:
    hint = f" The last thing your code returned was {last}." if last else ""
    return (
        f"A test of the course broke ({error}, {where}); this is not counted as your mistake, but your answer could "
        f"not be judged either.{hint} Please report it."
    )


def in_place(function: str, argument: str, how: str) -> str:
    """An argument that a call has changed. how: as in `changes.HOW`."""
    what, instead = {
        "numbers": (
            f"changed the `{argument}` that it was given, in place",
            "whoever called it still has that tensor. Work on a copy (`x = x.clone()`), and write `x = x + 1` "
            "instead of `x += 1`",
        ),
        "entries": (
            f"changed the `{argument}` that it was given, in place",
            "whoever called it still has that list or dict. Make a new one (`list(x)`, `dict(x)`) and change that",
        ),
        "weights": (
            f"changed the weights of the `{argument}` that it was given",
            "every later run of that model would be another one. Edit activations with a hook, or work on a copy "
            "(`copy.deepcopy`)",
        ),
        "hooks": (
            f"left a hook in the `{argument}` that it was given",
            "every later run would be edited too. `run_with_hooks` and `with model.hooks(...)` take theirs out again",
        ),
        "gradients": (
            f"left `requires_grad` of the `{argument}` that it was given switched",
            "put it back, or work on a copy (`x.detach().clone()`)",
        ),
        "mode": (
            f"left the `{argument}` that it was given switched between training and evaluation mode",
            "put it back at the end",
        ),
    }[how]
    return f"Your {function} {what}: {instead}."


def broke_on(function: str, shown: str, error: str) -> str:
    """After a test that could not compute with a result of the right kind and shape."""
    return (
        f"The test could not go on with what your {function} returned: {shown}. ({error.rstrip('.')}. "
        "If you think that this is a right answer, please report it.)"
    )


def broke_without(error: str) -> str:
    """After a test that could not compute, and nothing that the answer returned is at hand."""
    return (
        f"The test could not go on with your answer ({error.rstrip('.')}), and it can with a right one. "
        "If you think that yours is right, please report it."
    )


def too_long(section: str, length: int, limit: int) -> str:
    what = "Your file" if section == "all" else f"Section {section} of your file"
    return (
        f"{what} is {length:,} characters long, and at most {limit:,} are read. "
        "An answer needs a few thousand: take data and outputs out of it."
    )


def confused(how: str = "malformed") -> str:
    what = {
        "fake": "a message came that answers no question",
        "replayed": "an old message came again",
        "half": "a message broke off",
        "closed": "it was closed",
    }.get(how, "a message was garbled")
    return (
        f"Your code disturbed the line to the grader ({what}): it wrote to or closed files that are not its own, so "
        "there was no answer to look at. Take calls such as os.fork, os.close, os.dup2 or os.write out."
    )


def server_gone(reason: str) -> str:
    because = f" ({reason})" if reason else ""
    return (
        f"The grading server ended twice while your code ran{because}, so there was no answer to look at. If your code "
        "calls os.kill, take it out; if not, `mi doctor` shows what is wrong with this installation."
    )


def no_tests(exercise_id: str, why: str) -> str:
    return f"The course's tests of exercise {exercise_id} cannot be used ({why}). This is our fault; please report it."


def not_run(why: str) -> str:
    return f"Not run, because {why}."
