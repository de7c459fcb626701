"""Replicate a muscle diffusion tensor MRI study, from scans to the published claim."""

from importlib.metadata import version

__version__ = version("dtimuscle")
