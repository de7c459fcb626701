"""One scan at work: the steps of processing, and what they hand on to each other."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dtimuscle.dwi import DwiSeries, Floats, TensorMaps
from dtimuscle.errors import LabelError
from dtimuscle.imaging import participant as imaging
from dtimuscle.imaging.fat import FatFraction
from dtimuscle.imaging.participant import TensorSignal
from dtimuscle.issues import Issue, in_short
from dtimuscle.roi_table import DRAWN, PROPAGATED
from dtimuscle.running.labels import propagate_to, read_muscles
from dtimuscle.settings import Study
from dtimuscle.store import derivatives, files, images, registry
from dtimuscle.store.bids import Scan
from dtimuscle.store.derivatives import Cleaned, Derivatives


class Workspace:
    """The images of one scan between the steps.

    What a step has computed stays in memory for the steps after it; what an earlier run has left is read when it is
    first asked for. Both are alike to the last bit, since steps hand on what they have written (`store.derivatives`).

    Parameters
    ----------
    scan : Scan
        The files.
    study : Study
        Settings of the steps.
    place : Derivatives
        Where results are kept.
    """

    def __init__(self, scan: Scan, study: Study, place: Derivatives) -> None:
        self.scan, self.study, self.place = scan, study, place

    def take(self, step: str) -> None:
        """Take a step: compute what it leaves, and write it.

        Parameters
        ----------
        step : str
            `preprocessed`, `tensor`, `labels` or `muscles`; those before it have been taken, now or in another run.
        """
        steps = {
            "preprocessed": self._preprocess,
            "tensor": self._fit,
            "labels": self._propagate,
            "muscles": self._measure,
        }
        steps[step]()

    @cached_property
    def cleaned(self) -> Cleaned:
        """The preprocessed series, and what goes with it."""
        return derivatives.read_cleaned(self.place, self.scan, b0_threshold=self.study.preprocessing.b0_threshold)

    @cached_property
    def fat(self) -> FatFraction | None:
        """The map of fat on the grid of the series; None when there is none."""
        return read_fat(self.scan.fat_fraction, self.cleaned.series)

    @cached_property
    def signal(self) -> TensorSignal:
        """What the tensor is fitted to."""
        given, settings = self.cleaned, signal_settings(self.study)
        fat = self.fat if self.study.tensor.fat_model == "map" else None
        return imaging.water_signal(given.series, given.mask, weights=given.weights, fat=fat, **settings)

    @cached_property
    def maps(self) -> TensorMaps:
        """The tensor's maps."""
        return derivatives.read_maps(self.place, self.scan)

    @cached_property
    def residual(self) -> Floats:
        """What the tensor leaves unexplained."""
        return derivatives.read_residual(self.place, self.scan)

    def _preprocess(self) -> None:
        scan, settings = self.scan, self.study.preprocessing
        series = images.read_dwi(scan.image, scan.bval, scan.bvec, b0_threshold=settings.b0_threshold)
        with files.naming(scan.image):
            made = imaging.preprocess(
                series,
                denoise=settings.denoise,
                patches=settings.patches,
                unring=settings.unring,
                correct_motion=settings.correct_motion,
                separate_thighs=settings.separate_thighs,
                find_outliers=settings.find_outliers,
                rician=settings.rician,
                n_coils=settings.rician_coils,
                engine=settings.engine,
            )
        self.cleaned = derivatives.write_preprocessed(
            self.place,
            scan,
            made.series,
            mask=made.mask,
            noise_sd=made.noise_sd,
            quality=made.quality.to_dict(),
            weights=made.weights,
        )
        if made.course is not None:
            derivatives.write_course(
                self.place,
                scan,
                made.course.pictures,
                made.course.affine,
                about=made.course.about,
                volumes=made.course.volumes,
                slices=made.course.slices,
            )

    def _fit(self) -> None:
        place, scan, settings = self.place, self.scan, self.study.tensor
        fitted = imaging.fit(self.signal, estimator=settings.estimator, directions_of=settings.directions_of)
        self.maps = derivatives.write_maps(place, scan, fitted.maps, fitted.quality.to_dict())
        if fitted.maps.residual is not None:
            self.residual = derivatives.write_residual(place, scan, fitted.maps.residual, fitted.maps.affine)
        blood = self.signal.perfusion
        if blood is not None and blood.is_separated:
            affine = self.signal.series.affine
            derivatives.write_blood(place, scan, blood.fraction, blood.pseudo_diffusivity, affine)

    def _propagate(self) -> None:
        propagate_to(self.scan, self.study, self.place, registry.read_registry())

    def _measure(self) -> None:
        place, scan, settings = self.place, self.scan, self.study.roi
        if scan.labels is None:
            return
        grid = self.signal.series
        labels, issues = read_muscles(
            scan.labels, registry.read_registry(), settings, shape=grid.shape, affine=grid.affine
        )
        origin = derivatives.read_quality(place, "labels", scan) if scan.atlases else None
        if origin is not None:
            issues = (*(Issue.from_dict(record) for record in origin["issues"]), *issues)
        if issues and not labels.present:
            raise LabelError(f"{scan.labels}: no label is a known muscle. {in_short(issues)[0]}")
        with files.naming(scan.labels):
            measured = imaging.measure(
                self.signal,
                self.maps,
                labels,
                participant_id=scan.participant_id,
                session=scan.session,
                erosion_mm=settings.erosion_mm,
                min_voxels=settings.min_voxels,
                is_simulated=place.is_simulated,
                noise_sd=self.cleaned.noise_sd,
                fat=self.fat,
                max_fat_fraction=settings.max_fat_fraction,
                residual=self.residual,
            )
        measured = replace(measured, issues=(*issues, *measured.issues))
        table, quality = measured.table, measured.quality_dict() | {"labels": DRAWN}
        if origin is not None:
            table, quality = table.assign(labels=PROPAGATED), quality | _with_origin(quality["muscles"], origin)
        derivatives.write_roi_rows(place, scan, table, quality)


def _with_origin(muscles: list[dict[str, Any]], origin: dict[str, Any]) -> dict[str, Any]:
    """Say where propagated labels come from, and how far the atlases agree about each muscle that was measured."""
    shares = {(muscle["muscle"], muscle["side"]): muscle["agreement"] for muscle in origin["muscles"]}
    return {
        "labels": PROPAGATED,
        "atlases": origin["atlases"],
        "agreement": origin["agreement"],
        "muscles": [muscle | {"agreement": shares.get((muscle["muscle"], muscle["side"]))} for muscle in muscles],
    }


def read_signal(scan: Scan, study: Study, place: Derivatives) -> TensorSignal:
    """Read what the tensor of a participant is fitted to.

    Parameters
    ----------
    scan : Scan
        A participant that has been preprocessed.
    study : Study
        Its section `tensor` counts.
    place : Derivatives
        Where results are kept.

    Returns
    -------
    TensorSignal
        The chosen volumes without what is not muscle's water.
    """
    return Workspace(scan, study, place).signal


def signal_settings(study: Study) -> dict[str, Any]:
    """Return the settings that `water_signal` takes under the same names.

    Parameters
    ----------
    study : Study
        Its section `tensor` counts.
    """
    names = ("highest_b", "fat_model", "fat_signal", "fat_diffusivity", "separate_blood", "tissue_b")
    return study.tensor.model_dump(include=set(names))


def read_fat(path: Path | None, series: DwiSeries) -> FatFraction | None:
    """Read a map of fat on the grid of a series.

    Parameters
    ----------
    path : Path or None
        The map, on any grid.
    series : DwiSeries
        The series.

    Returns
    -------
    FatFraction or None
        None when there is no map.
    """
    if path is None:
        return None
    with files.naming(path):
        return FatFraction(images.read_on_grid(path, series.shape, series.affine), series.affine)
