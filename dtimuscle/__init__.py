"""Replicate a muscle diffusion tensor MRI study, from scans to the published claim."""

__version__: str


def __getattr__(name: str) -> str:
    # Looking the version up takes longer than anything else that an import of the package does.
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("dtimuscle")
