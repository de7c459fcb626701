"""What each effect of the simulated scan does to FA and MD of muscles when nothing corrects it.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/scan_effects.py

Writes `benchmarks/scan_effects.md`. Takes about a minute.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from dtimuscle.imaging.roi import eroded_labels
from dtimuscle.imaging.tensor import fit_tensor
from dtimuscle.running.studies import read_protocol
from dtimuscle.simulation.effects import NO_EFFECTS, ScanEffects
from dtimuscle.simulation.phantom import scan_phantom
from dtimuscle.store.registry import read_registry

REPORT = Path(__file__).with_suffix(".md")
EROSION_MM = 2.5
SEEDS = (1, 2, 3)

# What most rows share: little noise, edges as the scanner sees them, nobody moves.
STILL = replace(NO_EFFECTS, snr=60.0, ringing=True, partial_volume=True)

CASES = {
    "each voxel shows its centre": replace(STILL, ringing=False, partial_volume=False),
    "partial volume": replace(STILL, ringing=False),
    "partial volume and ringing (the others build on it)": STILL,
    "eddy currents of 1 % and 0.5 mm": replace(STILL, eddy_percent=1.0, eddy_shift_mm=0.5),
    "motion of 1 mm and 0.5°": replace(STILL, motion_mm=1.0, motion_deg=0.5),
    "motion of 3 mm and 3°": replace(STILL, motion_mm=3.0, motion_deg=3.0),
    "2 % of slices lost": replace(STILL, dropout_percent=2.0),
    "fat displaced by 3.5 ppm": replace(STILL, fat_shift_ppm=3.5),
    "2 % of the signal is blood": replace(STILL, perfusion_percent=2.0),
    "SNR 25": replace(STILL, snr=25.0),
    "SNR 25, 8 coils": replace(STILL, snr=25.0, n_receivers=8),
}


def errors(effects: ScanEffects, seed: int) -> np.ndarray:
    """Error of FA, and of MD in percent, in each muscle and side of one scan; shape (2, muscles)."""
    scan = scan_phantom(read_protocol("thigh_3t"), read_registry(), effects, seed=seed)
    values = eroded_labels(scan.labels, erosion_mm=EROSION_MM).values
    maps = fit_tensor(scan.series, values > 0)
    found = []
    for code in np.unique(values[values > 0]):
        here = values == code
        true = scan.truth
        found.append(
            (
                np.nanmean(maps.fa[here]) - true.fa[here].mean(),
                100 * (np.nanmean(maps.md[here]) / true.md[here].mean() - 1),
            )
        )
    return np.array(found).T


def main() -> None:
    """Run every case and write the table."""
    lines = [
        "# What a simulated scan suffers",
        "",
        "Error of FA and MD in the muscles of simulated thighs (`thigh_3t`, SNR 60 unless said, labels eroded by "
        f"{EROSION_MM:g} mm, mean over voxels, IWLS) when one effect is switched on and nothing is corrected. Mean and "
        f"worst over the muscles and sides of {len(SEEDS)} scans.",
        "",
        "```",
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/scan_effects.py",
        "```",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}",
        "",
        "| effect | FA, mean | FA, worst | MD, mean, % | MD, worst, % |",
        "|---|---|---|---|---|",
    ]
    for name, effects in CASES.items():
        fa, md = np.hstack([errors(effects, seed) for seed in SEEDS])
        worst_fa, worst_md = fa[np.abs(fa).argmax()], md[np.abs(md).argmax()]
        lines.append(f"| {name} | {fa.mean():+.4f} | {worst_fa:+.4f} | {md.mean():+.2f} | {worst_md:+.2f} |")
        REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
