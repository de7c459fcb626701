"""An audit of printed numbers, from the file of claims to the page."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from dtimuscle import __version__
from dtimuscle.muscles import MuscleRegistry
from dtimuscle.presentation import figures, tables
from dtimuscle.presentation.audit_page import Section, audit_page
from dtimuscle.presentation.exhibit import Exhibit
from dtimuscle.presentation.pages import Link, PageContext
from dtimuscle.replication.audit import Audit, audit
from dtimuscle.replication.audit.adjustment import ADJUSTMENT, TurningRegion, turning_region
from dtimuscle.replication.audit.directions import signs
from dtimuscle.replication.audit.effects import ImpliedEffect, implied_effects
from dtimuscle.replication.published import PublishedStudy
from dtimuscle.running.studies import read_published, read_reference_values
from dtimuscle.store import places
from dtimuscle.store.audits import AuditFolder, audit_folder
from dtimuscle.store.files import file_digest
from dtimuscle.store.registry import read_named, read_registry

# How many times as far as a feature the others may differ, for a curve; 1 itself is the limit.
_TIMES_AS_FAR = tuple(np.linspace(1.001, 3.0, 100).tolist())


@dataclass(frozen=True)
class AuditOutcome:
    """An audit and where it was written.

    Parameters
    ----------
    study : PublishedStudy
        What was audited.
    audit : Audit
        What was found.
    folder : AuditFolder
        Page, JSON, tables and figures.
    """

    study: PublishedStudy
    audit: Audit
    folder: AuditFolder


def audit_study(name: str, *, folder: Path | None = None, command: str = "") -> AuditOutcome:
    """Audit the printed numbers of a study, and write page and JSON.

    Parameters
    ----------
    name : str
        File of the claims: a name in data/published/, or a path.
    folder : Path, optional
        Where it is written; reports/audit/ and the study's name by default.
    command : str, default=""
        The command that makes it again.

    Returns
    -------
    AuditOutcome
        Findings are results: a study with conflicts is no failure.

    Raises
    ------
    PublishedError
        If the file does not describe a study.
    SettingsError
        If there is no such file, or the folder holds something else.
    """
    study, reference = read_published(name), read_reference_values()
    source = read_named(places.published_folder(), name)[-1]
    found = audit(study, reference)
    effects = implied_effects(study)
    sections = audit_sections(study, found, effects, read_registry())
    written = AuditFolder(folder) if folder else audit_folder(study.id)
    written.begin()
    for section in sections:
        for exhibit in section.exhibits:
            written.write_exhibit(exhibit.name, exhibit.data, svg=exhibit.svg, png=exhibit.png)
    digest = file_digest(source)
    written.write_record(_record(found, effects, source=source.name, digest=digest))
    written.write_page(
        audit_page(
            found,
            study,
            sections,
            _context(study, found, command),
            source=source.name,
            digest=digest,
            downloads=(Link("audit.json", "audit.json", "every finding and every implied number, unrounded"),),
        )
    )
    return AuditOutcome(study, found, written)


def audit_sections(
    study: PublishedStudy,
    found: Audit,
    effects: Sequence[ImpliedEffect],
    registry: MuscleRegistry,
) -> tuple[Section, ...]:
    """Make the tables and figures of an audit, in reading order.

    Parameters
    ----------
    study : PublishedStudy
        What was audited.
    found : Audit
        What was found.
    effects : sequence of ImpliedEffect
        What its printed means imply.
    registry : MuscleRegistry
        Printed names of muscles.

    Returns
    -------
    tuple of Section
        Those that have something to show for this study.
    """
    signed, regions = signs(study), turning_regions(found, effects)
    at_a_glance: list[Exhibit] = []
    if effects:
        at_a_glance.append(figures.implied_auc_figure(effects, study, registry))
    if signed:
        at_a_glance.append(tables.directions_table(signed, registry))
    implied = [tables.implied_table(effects, registry)] if effects else []
    if regions:
        implied.append(figures.turning_figure(regions, study, registry))
    printed = (tables.claims_table(study, registry), tables.readings_table(study, registry))
    sections = (
        Section("At a glance", tuple(at_a_glance)),
        Section("What does not fit", (tables.findings_list(found, study),)),
        Section("What the printed numbers imply", tuple(implied)),
        Section("Every question that was put", (tables.checks_table(found),)),
        Section("What is printed, and how it is read", printed),
    )
    return tuple(section for section in sections if section.exhibits)


def turning_regions(found: Audit, effects: Sequence[ImpliedEffect]) -> dict[str, TurningRegion]:
    """Say for each feature whose sign a model turns what that takes, over a range of differences.

    Parameters
    ----------
    found : Audit
        What was found; its findings name the features.
    effects : sequence of ImpliedEffect
        What the printed means imply.

    Returns
    -------
    dict of str to TurningRegion
        By feature; empty where no sign turns.
    """
    turned = {feature for finding in found.findings if finding.check == ADJUSTMENT.name for feature in finding.features}
    sizes = {effect.pair.feature: abs(effect.hedges_g.value) for effect in effects if effect.pair.feature in turned}
    return {feature: turning_region(size, [size * times for times in _TIMES_AS_FAR]) for feature, size in sizes.items()}


def _context(study: PublishedStudy, found: Audit, command: str) -> PageContext:
    groups = ", ".join(f"{group.n} with {group.title}" for group in study.groups)
    return PageContext(
        study=study.title,
        run=study.id,
        is_simulated=False,
        version=__version__,
        created=datetime.now(UTC).isoformat(timespec="minutes"),
        command=command,
        settings=(
            ("At hand", study.source),
            ("Patients", groups),
            ("Printed claims", str(len(study.claims))),
            ("Questions", str(len(found.results))),
        ),
    )


def _record(found: Audit, effects: Sequence[ImpliedEffect], *, source: str, digest: str) -> dict[str, Any]:
    return {
        **found.to_dict(),
        "source": {"file": source, "sha256": digest},
        "dtimuscle": __version__,
        "implied_effects": [_effect_record(effect) for effect in effects],
    }


def _effect_record(effect: ImpliedEffect) -> dict[str, Any]:
    record = asdict(effect)
    pair = record.pop("pair")
    groups = {side: {**pair[side], "group": pair[side]["group"].id} for side in ("first", "second")}
    return {"claim": pair["claim_id"], "feature": pair["feature"], **groups, **record}
