"""`pytest chapters/ch02_induction_heads --submission=FILE` grades a file with the same engine as `mi check`."""

from mi_lib.course.grading.pytest_plugin import (  # noqa: F401 - pytest finds hooks and fixtures by their names here
    answer,
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_pyfunc_call,
    pytest_unconfigure,
)
