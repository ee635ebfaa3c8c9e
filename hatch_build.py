"""The package's build: compiles the kernels for the wheel where there is a C++ compiler.

`JNLP_BUILD_KERNELS` says for which processors: `all` of this machine's architecture (the default for a wheel), `native`
(only this one: the default for an editable installation), or `off` (the wheel then fits every platform). Without a
compiler, or if it fails, the wheel has none, and jnlp builds them at first use.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("jnlp/encoder/forms/kernels")


class KernelsHook(BuildHookInterface[Any]):
    """Adds the compiled kernels to a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, add the libraries to the wheel, and tag it for this platform."""
        which = os.environ.get("JNLP_BUILD_KERNELS", "native" if version == "editable" else "all")
        processors, compiling = (self._module(name) for name in ("processors", "compile"))
        kinds = processors.runnable()[:1] if which == "native" else ()
        if which == "all":
            kinds = tuple(kind for kind in processors.KINDS if kind.machine == processors.machine())
        built = self._compile(compiling, kinds)
        if not built or version == "editable":
            return
        places = {path: path.relative_to(self.root) for path in built}
        build_data["force_include"] |= {str(path): str(place) for path, place in places.items()}
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"

    def _module(self, name: str) -> Any:
        """Load a module of the package by its path: the package itself needs what is not installed yet."""
        spec = importlib.util.spec_from_file_location(f"_jnlp_{name}", Path(self.root) / FOLDER / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module

    def _compile(self, compiling: Any, kinds: tuple[Any, ...]) -> list[Path]:
        """Return the libraries; those of older sources are removed; none if there is no compiler or it fails."""
        paths = {kind: compiling.BUILT / compiling.library_name(kind.name, kind.flags) for kind in kinds}
        for path in paths.values():
            for old in compiling.BUILT.glob(f"{path.name.rpartition('-')[0]}-*.so"):
                if old != path:
                    old.unlink()
        try:
            command = compiling.compiler()
            if command is None:
                self.app.display_warning("no C++ compiler: the kernels are built at first use")
                return []
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                made = [
                    pool.submit(compiling.compile_library, command, kind.flags, path)
                    for kind, path in paths.items()
                    if not path.is_file()
                ]
                for each in made:
                    each.result()
        except (compiling.CompileError, OSError) as error:
            self.app.display_warning(f"{error}: the kernels are built at first use")
            return [path for path in paths.values() if path.is_file()]
        return list(paths.values())
