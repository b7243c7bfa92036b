"""Private copies of modules, bound to other ports than the ones they import."""

import importlib.util
from types import ModuleType


def link(name: str, **ports: object) -> ModuleType:
    """A second copy of module `name` whose globals `ports` are replaced.

    The copy is not registered: whoever imports the module gets the one and only original. A name the
    module does not have is an error, so that a renamed port cannot pass unnoticed.
    """
    spec = importlib.util.find_spec(name)
    assert spec is not None, f"there is no module {name}"
    assert spec.loader is not None, f"{name} has code"
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    for port, value in ports.items():
        assert hasattr(copy, port), f"{name} has no port {port}"
        setattr(copy, port, value)
    return copy
