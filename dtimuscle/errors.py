"""Errors that people can act on: where, what was found, what was needed, what to do."""


class DtiMuscleError(Exception):
    """Base of every error that the kit raises on purpose.

    The message is one line for a person. The command line prints it and exits with code 2.
    """


class SettingsError(DtiMuscleError):
    """A setting or a notebook parameter is unknown, of the wrong type or out of range."""


class DatasetError(DtiMuscleError):
    """A BIDS dataset or one of its files is missing, incomplete or unreadable."""


class ParticipantsError(DtiMuscleError):
    """The table of participants is missing, incomplete or contradicts itself."""


class GradientError(DtiMuscleError):
    """The b-values and b-vectors do not describe the series, or cannot carry a tensor."""


class ImageError(DtiMuscleError):
    """An image has the wrong number of dimensions or values that cannot be used."""


class GridMismatchError(DtiMuscleError):
    """Two images that belong together are not on one grid."""


class LabelError(DtiMuscleError):
    """A label image or a label registry names a muscle that cannot be resolved."""


class RoiTableError(DtiMuscleError):
    """A table of muscle values lacks a column, or holds values that cannot be read."""


class StatisticsError(DtiMuscleError):
    """A statistic is not defined for these data."""


class PublishedError(DtiMuscleError):
    """A file of published numbers and claims breaks its schema."""


class SimulationError(DtiMuscleError):
    """A scenario or protocol asks for something that physics does not allow."""


class NotebookError(DtiMuscleError):
    """A notebook cannot be run as asked, or failed while it ran."""
