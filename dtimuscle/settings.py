"""The settings of a study: typed, checked as a whole before anything starts, and hashed for the cache.

Settings that change results (`data` to `replication`) are kept apart from those that only change how the
work is done (`execution`). Every leaf has a name of its own, so that notebooks and `--set` can speak of
`erosion_mm` without saying that it belongs to `roi`.
"""

import hashlib
import json
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dtimuscle.errors import SettingsError

Positive = Annotated[float, Field(gt=0)]
Percent = Annotated[float, Field(ge=0, le=100)]
NotNegative = Annotated[float, Field(ge=0)]
Estimator = Literal["ols", "wls", "iwls", "nlls", "restore", "robust"]
Engine = Literal["kit", "dipy"]


class Section(BaseModel):
    """A group of settings that one step reads."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, strict=True, allow_inf_nan=False
    )

    def fingerprint(self) -> str:
        """Return a short hash of the values, the same on every machine.

        Returns
        -------
        str
            Twelve hexadecimal digits.
        """
        return fingerprint(self.model_dump(mode="json"))


class DataSettings(Section):
    """Where the study's data come from."""

    dataset: str = ""
    """BIDS dataset with the scans; empty: the simulated cohort."""
    labels: str = ""
    """BIDS derivative with the muscle labels; empty: derivatives/labels within the dataset."""
    second_labels: str = ""
    """BIDS derivative with a second reader's labels of all scans or of some; empty: one reader."""
    fat_fraction: str = ""
    """BIDS derivative with fat-fraction maps; empty: derivatives/fat within the dataset, if it is there."""
    roi_table: str = ""
    """Table of muscle values (CSV, TSV, Excel, SPSS) that replaces the images; empty: none."""


class SimulationSettings(Section):
    """The simulated cohort; read only when no dataset is given."""

    scenario: str = "published_means"
    """Hypothesis about the patients: a file in data/scenarios/."""
    protocol: str = "thigh_3t"
    """Acquisition that is simulated: a file in data/protocols/."""
    n_poor: Annotated[int, Field(ge=0)] = 31
    """Patients with poor muscle function (Lovett grade 0-3)."""
    n_good: Annotated[int, Field(ge=0)] = 69
    """Patients with good muscle function (Lovett grade 4-5)."""
    n_sessions: Annotated[int, Field(ge=1)] = 1
    """Times that each patient is scanned; from two on the data have sessions, for test and retest."""
    reposition_mm: NotNegative = 5.0
    """Spread (SD) of where the thighs lie in a further session, mm."""
    reposition_deg: NotNegative = 2.0
    """Spread (SD) of how the thighs are turned in a further session, degrees."""
    snr: NotNegative = 30.0
    """Signal-to-noise ratio of muscle at b = 0 in a receiver channel; 0 switches noise off."""
    n_receivers: Annotated[int, Field(ge=1, le=128)] = 1
    """Receiver coils, joined by root sum of squares; noise is Rician with one, non-central χ with more."""
    motion_mm: NotNegative = 1.0
    """Spread (SD) of each volume's translation, mm."""
    motion_deg: NotNegative = 0.5
    """Spread (SD) of each volume's rotation, degrees."""
    eddy_percent: NotNegative = 1.0
    """Largest eddy-current scaling and shear of a volume, percent of the field of view."""
    eddy_shift_mm: NotNegative = 0.5
    """Largest eddy-current shift of a whole volume along phase encoding, mm."""
    dropout_percent: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Slices of weighted volumes that lose 40 to 100 % of their signal, percent."""
    ringing: bool = True
    """Sample k-space as a scanner does, so that edges ring."""
    partial_volume: bool = True
    """Average the tissue that a voxel covers instead of taking its centre."""
    fat_shift_ppm: float = 0.0
    """Chemical shift that displaces what is left of fat along phase encoding, ppm; 3.5 at every field, 0 keeps fat."""
    perfusion_percent: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Share of muscle's signal at b = 0 that flows in capillaries (IVIM), percent."""
    pseudo_diffusion_mm2_s: NotNegative = 0.02
    """How fast the perfused share loses its signal, mm²/s."""
    atrophy_percent: Annotated[float, Field(ge=0, lt=100)] = 0.0
    """Cross-section that muscles lose with each Lovett grade below 5, percent."""
    fat_percent: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Fat in the muscles of grade 5, percent."""
    infiltration_percent: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Fat that muscles gain with each Lovett grade below 5, percentage points."""
    second_reader_mm: NotNegative = 0.0
    """How far a second reader draws the outlines elsewhere (SD), mm; 0: no second reader."""
    seed: int = 2024
    """Where every random draw of the simulation comes from."""


class PreprocessingSettings(Section):
    """What is done to a series before the tensor is fitted."""

    denoise: bool = True
    """Remove thermal noise (MP-PCA)."""
    patches: Literal["overlapping", "centred"] = "overlapping"
    """MP-PCA by patches that overlap, or each voxel by the patch around it, as in dwidenoise. Only the kit's engine."""
    unring: bool = True
    """Remove Gibbs ringing (sub-voxel shifts)."""
    correct_motion: bool = True
    """Align the volumes for motion and eddy currents, and rotate the b-vectors."""
    separate_thighs: bool = False
    """Give each thigh a motion of its own, when the mask shows two."""
    find_outliers: bool = True
    """Find slices that lost their signal, and leave them out of the fit."""
    rician: bool = False
    """Take out what the noise floor adds to the magnitude (Koay and Basser 2006); needs `denoise`."""
    rician_coils: Annotated[int, Field(ge=1)] = 1
    """Coils combined by their sum of squares; 1 also for adaptive combination and SENSE. Only `rician` reads it."""
    engine: Engine = "kit"
    """Whose routines do it: the kit's or DIPY's."""
    b0_threshold: NotNegative = 20.0
    """Volumes up to this b-value count as b = 0, s/mm²."""


class TensorSettings(Section):
    """How the tensor is fitted."""

    estimator: Estimator = "iwls"
    """Ordinary, weighted, iteratively weighted or non-linear least squares, RESTORE, or robust IWLS."""
    highest_b: Positive = 1000.0
    """Shells above this b-value are left out if the others can carry a tensor, s/mm²."""
    directions_of: Literal["thigh", "limb", "unknown"] = "thigh"
    """Body part whose fibres tell whether axes of the b-vectors are flipped; unknown: nothing is checked."""
    fat_model: Literal["none", "map", "diffusion"] = "none"
    """Fat beside the tensor: none, subtracted by its map, or found in each muscle's mean signal by its diffusion."""
    fat_signal: NotNegative = 0.13
    """Signal at b = 0 that suppression leaves of fat, over that of as much muscle water (assumed). For `map`."""
    fat_diffusivity: NotNegative = 1.9e-5
    """Diffusivity of fat, mm²/s (Steidle 2011)."""
    separate_blood: bool = False
    """Leave out the volumes in which blood counts (IVIM); needs two shells above `tissue_b`."""
    tissue_b: Positive = 200.0
    """From this b-value on blood is gone, s/mm². Only `separate_blood` reads it."""


class RoiSettings(Section):
    """How a muscle's voxels become its values."""

    erosion_mm: NotNegative = 2.5
    """Depth of the rim that is left out, mm."""
    min_voxels: Annotated[int, Field(ge=1)] = 20
    """A muscle with fewer voxels keeps its row without values."""
    max_fat_fraction: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Voxels with a larger share of fat are left out, where there is a fat-fraction map."""
    label_scheme: str = "auto"
    """What label values mean: auto (table beside the image, or MuscleMap), a scheme of data/labels/, or a table."""
    merge_muscles: tuple[str, ...] = ()
    """Muscles measured as one, each as `hamstrings = semimembranosus + semitendinosus`."""
    keep_merged_parts: bool = False
    """Measure the parts of merged muscles as well."""
    propagate_labels: Annotated[int, Field(ge=0)] = 0
    """Labelled participants whose labels are carried over to those without; 0: nobody's."""
    label_atlases: tuple[str, ...] = ()
    """Participants whose labels may be carried over, 001 or sub-001; empty: the first that have labels."""


class QualitySettings(Section):
    """From where on a scan is looked at, and from where on it is left out of the statistics."""

    look_below_snr: NotNegative = 25.0
    """SNR of the muscles below which a scan is looked at."""
    leave_out_below_snr: NotNegative = 10.0
    """SNR of the muscles below which a scan is left out."""
    look_above_framewise_mm: NotNegative = 5.0
    """Mean motion from volume to volume above which a scan is looked at, mm."""
    leave_out_above_framewise_mm: NotNegative = 10.0
    """Mean motion from volume to volume above which a scan is left out, mm."""
    look_above_jump_mm: NotNegative = 10.0
    """Largest motion from one volume to the next above which a scan is looked at, mm."""
    leave_out_above_jump_mm: NotNegative = 30.0
    """Largest motion from one volume to the next above which a scan is left out, mm."""
    look_above_lost_percent: Percent = 5.0
    """Lost slices above which a scan is looked at, percent of all slices of all volumes."""
    leave_out_above_lost_percent: Percent = 20.0
    """Lost slices above which a scan is left out, percent of all slices of all volumes."""
    look_above_impossible_percent: Percent = 10.0
    """Impossible voxels in muscle above which a scan is looked at, percent."""
    leave_out_above_impossible_percent: Percent = 30.0
    """Impossible voxels in muscle above which a scan is left out, percent."""
    look_above_residual_percent: Percent = 5.0
    """Signal that the tensor leaves unexplained above which a scan is looked at, percent of that at b = 0."""
    leave_out_above_residual_percent: Percent = 15.0
    """Signal that the tensor leaves unexplained above which a scan is left out, percent of that at b = 0."""
    look_above_missing_percent: Percent = 1.0
    """Muscles and sides without values above which a scan is looked at, percent."""
    leave_out_above_missing_percent: Percent = 50.0
    """Muscles and sides without values above which a scan is left out, percent."""
    flipped_axes: Literal["use", "look", "leave out"] = "look"
    """What is done about b-vectors with a flipped axis; FA and ADC stay right, directions do not."""
    propagated_labels: Literal["use", "look", "leave out"] = "look"
    """What is done about scans whose labels were carried over from other scans."""
    exclude: tuple[str, ...] = ()
    """Participants that are left out by hand, 001 or sub-001; with sessions also sub-001_ses-1."""
    leave_out: bool = True
    """Leave out of the statistics what is rated so; false: rate and show only."""


class AnalysisSettings(Section):
    """Which values are compared, and how."""

    poor_below_grade: Annotated[int, Field(ge=1, le=5)] = 4
    """Lovett grades below this one are poor muscle function."""
    route: Literal["voxelwise", "mean_signal"] = "voxelwise"
    """Value of a muscle: from its voxels, or from the tensor of its mean signal."""
    statistic: Literal["mean", "median"] = "mean"
    """What summarises the voxels of a muscle."""
    side: Literal["both", "left", "right"] = "both"
    """Side that is analysed; both means pooled."""
    roc_muscles: tuple[str, ...] = ("adductor_magnus", "adductor_longus")
    """Muscles whose FA and ADC enter the ROC curves."""
    entry_p: Annotated[float, Field(gt=0, le=1)] = 0.05
    """Features with a univariate P below this enter the multivariable model."""
    model_features: tuple[str, ...] = ()
    """Features of the model that is chosen beforehand; empty: FA and ADC of `roc_muscles`."""
    covariates: tuple[str, ...] = ("age", "sex", "bmi")
    """Characteristics of the patients that adjusted analyses allow for; those that the table lacks are left out."""
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Coverage of the intervals."""
    fixed_sensitivity: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Sensitivity that a cut-off must reach."""
    fixed_specificity: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Specificity that a cut-off must reach."""
    min_specificity: Annotated[float, Field(ge=0, lt=1)] = 0.8
    """The partial AUC counts the part of the curve with at least this specificity."""
    n_bootstrap: Annotated[int, Field(ge=100)] = 10_000
    """Bootstrap samples for intervals and tests of AUCs."""
    n_optimism: Annotated[int, Field(ge=20)] = 200
    """Bootstrap samples in which models are fitted again, to correct their optimism."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Parts into which cross-validation splits the patients."""
    repeats: Annotated[int, Field(ge=1)] = 20
    """How often cross-validation splits anew."""
    missing: Literal["complete_cases", "imputation"] = "complete_cases"
    """What is done about missing values: leave patients out, or impute."""
    n_imputations: Annotated[int, Field(ge=2)] = 20
    """Data sets that multiple imputation makes."""
    analysis_seed: int = 1
    """Where every random draw of the statistics comes from."""


class ReplicationSettings(Section):
    """What the results are held against."""

    published: str = "wang_thigh_osteoporosis"
    """The published numbers and claims: a file in data/published/."""
    claims: tuple[str, ...] = ()
    """Identifiers of the claims that are shown; empty: all."""
    n_cohorts: Annotated[int, Field(ge=1)] = 500
    """Cohorts that are drawn in each scenario, to see which claims come out together."""


class ExecutionSettings(Section):
    """How the work is done; nothing here changes a number."""

    workers: Annotated[int, Field(ge=0)] = 0
    """Participants that are processed at a time; 0: one for each core."""
    participant_pages: bool = True
    """Write a page for each participant, by `notebooks/participant.ipynb`."""


class Study(Section):
    """All settings of one study, as read from `study.yaml`.

    Raises
    ------
    SettingsError
        From the constructors `from_mapping` and `with_values`, never from use.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] = "thigh_study"
    """Name of the run's folder under reports/."""
    data: DataSettings = DataSettings()
    simulation: SimulationSettings = SimulationSettings()
    preprocessing: PreprocessingSettings = PreprocessingSettings()
    tensor: TensorSettings = TensorSettings()
    roi: RoiSettings = RoiSettings()
    quality: QualitySettings = QualitySettings()
    analysis: AnalysisSettings = AnalysisSettings()
    replication: ReplicationSettings = ReplicationSettings()
    execution: ExecutionSettings = ExecutionSettings()

    @classmethod
    def from_mapping(cls, values: dict[str, Any], *, source: str) -> "Study":
        """Check settings and fill in defaults.

        Parameters
        ----------
        values : dict
            Sections and their settings, as in `study.yaml`.
        source : str
            Where they came from, for messages.

        Returns
        -------
        Study
            The checked settings.

        Raises
        ------
        SettingsError
            If a name is unknown (with the nearest known one), a type is wrong or a value is out of range.
        """
        try:
            # JSON mode lets YAML lists become tuples while text never becomes a number. A section with nothing under
            # it is empty in YAML.
            sections = set(leaf_sections().values())
            filled = {name: {} if value is None and name in sections else value for name, value in values.items()}
            return cls.model_validate_json(json.dumps(filled))
        except (ValidationError, TypeError) as error:
            raise SettingsError(f"{source}: {_explain(error)}") from error

    def with_values(self, *, source: str = "settings", **values: Any) -> "Study":
        """Replace settings by their own names, whichever section they belong to.

        Parameters
        ----------
        source : str, default="settings"
            Where the values came from, for messages.
        **values : object
            Leaf names and values, e.g. `erosion_mm=2.0, estimator="nlls"`.

        Returns
        -------
        Study
            A new study; this one is unchanged.

        Raises
        ------
        SettingsError
            If a name is unknown, a type is wrong or a value is out of range.
        """
        tree = self.model_dump(mode="json")
        for name, value in values.items():
            section = leaf_sections().get(name)
            if section is None:
                raise SettingsError(f"{source}: unknown setting '{name}'.{_did_you_mean(name)}")
            (tree[section] if section else tree)[name] = value
        return Study.from_mapping(tree, source=source)

    def value_of(self, name: str) -> Any:
        """Return a setting by its own name.

        Parameters
        ----------
        name : str
            Leaf name, e.g. `erosion_mm`.

        Returns
        -------
        object
            The value.

        Raises
        ------
        SettingsError
            If there is no such setting.
        """
        section = leaf_sections().get(name)
        if section is None:
            raise SettingsError(f"unknown setting '{name}'.{_did_you_mean(name)}")
        return getattr(getattr(self, section) if section else self, name)


def parse_assignment(text: str, study: Study) -> tuple[str, Any]:
    """Read `name=value` as typed on a command line.

    Parameters
    ----------
    text : str
        A setting's own name, with or without its section, and a value. Lists are written `a,b`.
    study : Study
        Tells the type that the value should have: what is text stays text, `001` included.

    Returns
    -------
    tuple of (str, object)
        Name and value, ready for `Study.with_values`.

    Raises
    ------
    SettingsError
        If there is no `=`, the name is unknown or the value cannot be read.
    """
    name, separator, value = text.partition("=")
    name = name.strip().rpartition(".")[2]
    if not separator:
        raise SettingsError(f"'{text}' is not of the form name=value.")
    current = study.value_of(name)
    if isinstance(current, str):
        return name, value
    if isinstance(current, tuple):
        return name, [word.strip() for word in value.strip("[] ").split(",") if word.strip()]
    try:
        return name, json.loads(value.lower())
    except json.JSONDecodeError as error:
        raise SettingsError(f"{name}: '{value}' is no {type(current).__name__}.") from error


def leaf_sections() -> dict[str, str]:
    """Map each setting's own name to its section ("" for the study's own).

    Returns
    -------
    dict of str to str
        Section of each setting.
    """
    sections: dict[str, str] = {}
    for name, field in Study.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            sections |= dict.fromkeys(field.annotation.model_fields, name)
        else:
            sections[name] = ""
    return sections


def fingerprint(values: Any) -> str:
    """Hash JSON-like values to 12 hexadecimal digits, the same on every machine.

    Parameters
    ----------
    values : object
        Nested dictionaries, lists, text, numbers and truth values.

    Returns
    -------
    str
        Twelve hexadecimal digits.
    """
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _did_you_mean(name: str) -> str:
    near = get_close_matches(name, [*leaf_sections(), *Study.model_fields], n=1)
    return f" Did you mean '{near[0]}'?" if near else f" Known: {', '.join(leaf_sections())}."


def _explain(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return f"{error}. Use plain numbers, text, lists and true/false."
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown setting '{place}'.{_did_you_mean(str(first['loc'][-1]))}"
    return f"{place}: {first['msg'][0].lower()}{first['msg'][1:]}; found {first['input']!r}."
