import pkgutil

import chassis


def test_the_list_of_modules_is_true() -> None:
    """The docstring names each module once, by its own name, and no other."""
    lines = (chassis.__doc__ or "").splitlines()
    listed = sorted(line.split()[0] for line in lines if line.startswith("    "))
    assert listed == sorted(module.name for module in pkgutil.iter_modules(chassis.__path__))
