import pkgutil

import chassis


def test_the_list_of_modules_is_true() -> None:
    """The docstring names each module once, by its own name, and no other."""
    lines = (chassis.__doc__ or "").splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("    ")]
    assert len(listed) == len(set(listed))
    assert set(listed) ^ {module.name for module in pkgutil.iter_modules(chassis.__path__)} == set()
