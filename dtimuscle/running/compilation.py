"""The kernels are compiled once, before processes need them that would each compile them."""

from dtimuscle.running.pool import Progress, map_in_order

# Whether this process knows that they are there, so that it looks only once.
_known = {"are_there": False}


def compile_missing(progress: Progress) -> int:
    """Compile the kernels that are not in numba's cache, several modules at a time.

    Parameters
    ----------
    progress : Progress
        Is told when there is something to compile.

    Returns
    -------
    int
        How many modules were compiled.
    """
    if _known["are_there"]:
        return 0
    # numba takes half a second to import, which not every command needs.
    from dtimuscle.imaging.kernels import uncompiled_modules

    missing = uncompiled_modules()
    if missing:
        progress.say("Compiling the kernels, once; this takes about 20 seconds …")
        map_in_order(_compile, missing, workers=0, on_done=lambda _: None, on_lost=_lost)
    _known["are_there"] = True
    return len(missing)


def _compile(module: str) -> str:
    from dtimuscle.imaging.kernels import compile_kernels

    compile_kernels([module])
    return module


def _lost(module: str) -> str:
    # Whoever needs one of its kernels compiles it then.
    return module
