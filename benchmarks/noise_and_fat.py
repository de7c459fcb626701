"""What correcting for noise, fat and perfusion changes in FA and MD of muscles, against the truth.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/noise_and_fat.py

Writes `benchmarks/noise_and_fat.md`. Takes about two minutes.
"""

import platform
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from dtimuscle.dwi import Bools, DwiSeries, Floats, GradientTable, TensorMaps
from dtimuscle.imaging.denoise import denoise
from dtimuscle.imaging.fat import FAT_DIFFUSIVITY, FatFraction, fat_signal_share, subtract_fat
from dtimuscle.imaging.noise import correct_rician, gaussian_noise_sd
from dtimuscle.imaging.perfusion import separate_perfusion
from dtimuscle.imaging.roi import measure_muscles
from dtimuscle.imaging.tensor import fit_tensor
from dtimuscle.muscles import MuscleLabels, Side
from dtimuscle.running.studies import read_protocol, read_scenario
from dtimuscle.simulation.anatomy import build_thighs
from dtimuscle.simulation.cohort import draw_cohort, participant_rng
from dtimuscle.simulation.effects import NO_EFFECTS
from dtimuscle.simulation.signal import simulate_scan
from dtimuscle.store.registry import read_registry

REPORT = Path(__file__).with_suffix(".md")

SHAPE = (96, 48, 8)
AFFINE = np.diag([2.5, 2.5, 5.0, 1.0])
N_MUSCLES = 8
N_DIRECTIONS = 12
S0 = 1000.0
SNRS = (15, 25, 40)
SEEDS = (0, 1, 2)
FAT_SIGNAL = 0.13


def gradients(*shells: float, n_b0: int = 2) -> GradientTable:
    """Directions spread over a half sphere, the same on each shell (s/mm²)."""
    k = np.arange(N_DIRECTIONS) + 0.5
    z, angle = 1 - k / N_DIRECTIONS, np.pi * (1 + 5**0.5) * k
    spread = np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], axis=1)
    bvals = np.r_[np.zeros(n_b0), np.repeat(shells, N_DIRECTIONS)]
    return GradientTable(bvals, np.vstack([np.zeros((n_b0, 3)), *[spread] * len(shells)]))


def labels() -> MuscleLabels:
    """Eight muscles side by side, with a gap between them."""
    values = np.zeros(SHAPE, dtype=np.uint16)
    edge, depth = SHAPE[0] // (N_MUSCLES // 2), SHAPE[1] // 2
    for muscle in range(N_MUSCLES):
        row, column = divmod(muscle, N_MUSCLES // 2)
        values[column * edge + 1 : (column + 1) * edge - 1, row * depth + 1 : (row + 1) * depth - 1] = muscle + 1
    return MuscleLabels(values, AFFINE, {m + 1: (f"muscle_{m + 1}", Side.BOTH) for m in range(N_MUSCLES)})


def eigenvalues(seed: int) -> tuple[Floats, Floats]:
    """Eigenvalues (mm²/s) and first directions of the muscles: FA 0.18 to 0.35, MD 1.3 to 1.7 × 10⁻³ mm²/s."""
    rng = np.random.default_rng(100 + seed)
    md, fa = rng.uniform(1.3e-3, 1.7e-3, N_MUSCLES), rng.uniform(0.18, 0.35, N_MUSCLES)
    share = fa / np.sqrt(3 - 2 * fa**2)
    directions = rng.normal([0, 0, 1], 0.3, (N_MUSCLES, 3))
    values = np.stack([md * (1 + 2 * share), md * (1 - share)], axis=1)
    return values, directions / np.linalg.norm(directions, axis=1, keepdims=True)


def truth(seed: int) -> dict[str, Floats]:
    """FA and MD of the muscles."""
    (along, across), _ = eigenvalues(seed)[0].T, None
    md = (along + 2 * across) / 3
    fa = (along - across) / np.sqrt(along**2 + 2 * across**2)
    return {"fa": fa, "md": md}


def water(table: GradientTable, seed: int) -> Floats:
    """Signal of each muscle's water relative to b = 0, on the grid; something faint between the muscles."""
    values, directions = eigenvalues(seed)
    cosine = (directions @ table.directions.T) ** 2
    adc = values[:, 1:] + (values[:, :1] - values[:, 1:]) * cosine
    signals = np.vstack([np.full(len(table), 0.15), np.exp(-table.bvals * adc)])
    return signals[labels().values]


def fat_fraction(seed: int, level: float) -> Floats:
    """Fat that varies smoothly within the muscles, `level` on average."""
    rng = np.random.default_rng(200 + seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=SHAPE), (3, 3, 1.5))
    return np.clip(level * (1 + 0.5 * smooth / smooth.std()), 0, 0.9)


def shading() -> Floats:
    """Coil sensitivity: the signal falls by a third across the field."""
    return np.linspace(1.15, 0.85, SHAPE[0])[:, None, None, None] * np.linspace(0.95, 1.05, SHAPE[1])[:, None, None]


def noisy(clean: Floats, snr: float, seed: int, *, n_coils: int = 1) -> Floats:
    """Magnitude of the signal with complex noise, SNR at b = 0 of muscle; several coils by their sum of squares."""
    rng = np.random.default_rng(300 + seed)
    sd = S0 / snr
    square = (S0 * clean + rng.normal(0, sd, clean.shape)) ** 2 + rng.normal(0, sd, clean.shape) ** 2
    for _ in range(n_coils - 1):
        square += rng.normal(0, sd, clean.shape) ** 2 + rng.normal(0, sd, clean.shape) ** 2
    return np.sqrt(square).astype(np.float32)


def series_of(signal: Floats, table: GradientTable) -> DwiSeries:
    """Put a signal on the grid."""
    return DwiSeries(signal.astype(np.float32), AFFINE, table)


def errors(series: DwiSeries, seed: int, *, mask: Bools | None = None) -> Iterator[dict[str, float | str]]:
    """Bias of FA, and of MD in percent, of each muscle by both routes."""
    inside = labels().values > 0 if mask is None else mask
    maps: TensorMaps = fit_tensor(series, inside)
    table = measure_muscles(maps, labels(), series, participant_id="sub-1", erosion_mm=0.0).table
    for parameter, true in truth(seed).items():
        for route in ("voxelwise", "mean_signal"):
            rows = table[(table.parameter == parameter) & (table.route == route) & (table.side == "both")]
            error = rows["mean"].to_numpy() - true
            scaled = 100 * error / true if parameter == "md" else error
            for value in scaled:
                yield {"parameter": parameter, "route": route, "error": value}


def second_moment(signal: Floats, sd: Floats, n_coils: int = 1) -> Floats:
    """√(M² − 2nσ²), 0 below: the correction that the kit does not use."""
    known = np.nan_to_num(sd)[..., np.newaxis]
    return np.sqrt(np.maximum(signal**2 - 2 * n_coils * known**2, 1e-3))


def cleaned_series(signal: Floats, table: GradientTable) -> DwiSeries:
    """Denoise and correct for the Rician mean."""
    cleaned = denoise(series_of(signal, table), np.ones(SHAPE, dtype=bool))
    sd = gaussian_noise_sd(cleaned.series.signal, cleaned.noise_sd)
    return cleaned.series.with_signal(correct_rician(cleaned.series.signal, sd).signal)


def rician(bval: float, *, snrs: tuple[int, ...] = SNRS, n_coils: int = 1, is_raw_shown: bool = False) -> list[str]:
    """Compare corrections before and after denoising, with the noise level that MP-PCA finds."""
    table = gradients(bval)
    everywhere = np.ones(SHAPE, dtype=bool)
    methods: dict[str, Callable[[DwiSeries, Floats], Floats]] = {
        "none": lambda s, _: s.signal,
        "√(M² − 2nσ²)": lambda s, sd: second_moment(s.signal, sd, n_coils),
        "mean inverted, noise of the magnitude": lambda s, sd: correct_rician(s.signal, sd, n_coils=n_coils).signal,
        "mean inverted (kit)": lambda s, sd: (
            correct_rician(s.signal, gaussian_noise_sd(s.signal, sd, n_coils=n_coils), n_coils=n_coils).signal
        ),
    }
    found = []
    for snr in snrs:
        for seed in SEEDS:
            scan = series_of(noisy(water(table, seed) * shading(), snr, seed, n_coils=n_coils), table)
            cleaned = denoise(scan, everywhere)
            states = {"as scanned": scan, "denoised": cleaned.series} if is_raw_shown else {"denoised": cleaned.series}
            for state, series in states.items():
                for name, correct in methods.items():
                    corrected = series.with_signal(correct(series, cleaned.noise_sd))
                    found += [
                        row | {"SNR": snr, "series": state, "correction": name} for row in errors(corrected, seed)
                    ]
    return in_markdown(pd.DataFrame(found), ["SNR", "series", "correction"])


def thighs() -> list[str]:
    """Measure the muscles of simulated thighs: Rician correction and 10 % of fat, one on top of the other."""
    found = []
    for seed in SEEDS:
        rng = participant_rng(7, f"sub-{seed}")
        cohort = draw_cohort(read_scenario("published_means"), n_poor=1, n_good=1, seed=seed)
        values = cohort.parameters[cohort.parameters["participant_id"] == "sub-001"]
        true = values.melt(["muscle", "side"], ["fa", "md"], "parameter", "true")
        protocol = read_protocol("thigh_3t")
        thighs_of_one = build_thighs(protocol.height_mm, read_registry(), rng=rng)
        still = simulate_scan(thighs_of_one, values, protocol, NO_EFFECTS, rng=rng)
        clean, table = still.series.signal / S0, still.series.gradients
        inside = ndimage.binary_dilation(still.labels.values > 0, iterations=2)
        share = np.where(still.labels.values > 0, 0.1, 0.0)
        part = fat_signal_share(share, fat_signal=FAT_SIGNAL)[..., np.newaxis]
        b0 = clean[..., table.is_b0].mean(axis=-1, keepdims=True)
        decay = np.exp(-table.bvals * FAT_DIFFUSIVITY)
        infiltrated = (1 - share + share * FAT_SIGNAL)[..., np.newaxis] * ((1 - part) * clean + part * b0 * decay)
        for snr in SNRS:
            for level, signal in ((0.0, clean), (0.1, infiltrated)):
                cleaned = denoise(DwiSeries(noisy(signal, snr, seed), still.series.affine, table), inside)
                series = cleaned.series
                sd = gaussian_noise_sd(series.signal, cleaned.noise_sd)
                upright = series.with_signal(correct_rician(series.signal, sd).signal)
                cases = {"none": series, "Rician": upright}
                if level:
                    map_of_fat = FatFraction(share, still.series.affine)
                    cases["Rician, fat"] = subtract_fat(upright, map_of_fat, inside, fat_signal=FAT_SIGNAL).series
                for name, case in cases.items():
                    maps = fit_tensor(case, inside)
                    measured = measure_muscles(maps, still.labels, case, participant_id="sub-1").table
                    measured = measured[measured["side"] != "both"].merge(true, on=["muscle", "side", "parameter"])
                    error = measured["mean"] - measured["true"]
                    measured["error"] = np.where(measured["parameter"] == "md", 100 * error / measured["true"], error)
                    kept = measured[["parameter", "route", "error"]]
                    found.append(kept.assign(SNR=snr, fat=level, correction=name))
    return in_markdown(pd.concat(found), ["SNR", "fat", "correction"])


def fat(snr: float) -> list[str]:
    """Compare the tensor with and without the subtraction of fat, also with its settings wrong."""
    table, found = gradients(500.0), []
    for level in (0.05, 0.1, 0.2, 0.4):
        for seed in SEEDS:
            share = fat_fraction(seed, level)
            part = fat_signal_share(share, fat_signal=FAT_SIGNAL)[..., np.newaxis]
            decay = np.exp(-table.bvals * FAT_DIFFUSIVITY)
            # Water that fat takes the place of is missing.
            level_b0 = (1 - share + share * FAT_SIGNAL)[..., np.newaxis]
            clean = level_b0 * ((1 - part) * water(table, seed) + part * decay) * shading()
            series = cleaned_series(noisy(clean, snr, seed), table)
            inside = labels().values > 0
            blurred = np.clip(share + np.random.default_rng(seed).normal(0, 0.03, SHAPE), 0, 1)
            cases = {
                "none": series,
                "two compartments": subtract_fat(series, FatFraction(share, AFFINE), inside, fat_signal=0.13).series,
                "map with noise (SD 0.03)": subtract_fat(
                    series, FatFraction(blurred, AFFINE), inside, fat_signal=0.13
                ).series,
                "fat signal 0.08 instead of 0.13": subtract_fat(
                    series, FatFraction(share, AFFINE), inside, fat_signal=0.08
                ).series,
            }
            for name, case in cases.items():
                found += [row | {"fat fraction": level, "correction": name} for row in errors(case, seed)]
    return in_markdown(pd.DataFrame(found), ["fat fraction", "correction"])


def perfusion(snr: float) -> list[str]:
    """Compare a tensor over all volumes with one from b ≥ 200 s/mm² on, without and with blood."""
    table, found, shares = gradients(10.0, 30.0, 80.0, 200.0, 400.0, 600.0, n_b0=4), [], []
    for blood in (0.0, 0.05, 0.1):
        for seed in SEEDS:
            clean = (blood * np.exp(-table.bvals * 0.03) + (1 - blood) * water(table, seed)) * shading()
            series = cleaned_series(noisy(clean, snr, seed), table)
            inside = labels().values > 0
            separated = separate_perfusion(series, inside)
            shares.append({"blood": blood, "found": np.nanmedian(separated.fraction[inside])})
            cases = {"none (all volumes)": series, "tissue from b ≥ 200": separated.tissue}
            for name, case in cases.items():
                found += [row | {"blood": blood, "correction": name} for row in errors(case, seed)]
    medians = pd.DataFrame(shares).groupby("blood")["found"].mean()
    said = ", ".join(f"{share:.3f} for {blood:g}" for blood, share in medians.items())
    return [*in_markdown(pd.DataFrame(found), ["blood", "correction"]), "", f"Share of blood found (median): {said}."]


def in_markdown(found: pd.DataFrame, keys: list[str]) -> list[str]:
    """One row for each setting: mean error over muscles and seeds (bias), and SD of the muscles about it."""
    grouped = found.groupby([*keys, "route", "parameter"], sort=False)["error"].agg(["mean", "std"])
    grouped = grouped.reset_index().pivot_table(index=[*keys, "route"], columns="parameter", sort=False)
    lines = [f"| {' | '.join(keys)} | route | FA bias ± SD | MD bias ± SD, % |", "|" + "---|" * (len(keys) + 3)]
    for index, row in grouped.iterrows():
        fa, md = (f"{row['mean', p]:+.{d}f} ± {row['std', p]:.{d}f}" for p, d in (("fa", 4), ("md", 2)))
        lines.append(f"| {' | '.join(map(str, index))} | {fa} | {md} |".replace("_", " "))
    return lines


def main() -> None:
    """Run everything and write the report."""
    lines = [
        "# Noise, fat and perfusion: what their corrections change",
        "",
        f"Eight muscles, {' × '.join(map(str, SHAPE))} voxels of 2.5 × 2.5 × 5 mm, FA 0.18 to 0.35, MD 1.3 to "
        f"1.7 × 10⁻³ mm²/s, {N_DIRECTIONS} directions a shell, two b = 0, a coil sensitivity that falls by a third, "
        "complex noise; SNR of muscle at b = 0. IWLS; noise level from MP-PCA. "
        f"Bias: mean over the muscles and {len(SEEDS)} scans of value minus truth; the SD is that of "
        "muscles and scans about it.",
        "",
        "```",
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/noise_and_fat.py",
        "```",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; Python {platform.python_version()}, numpy {version('numpy')}, "
        f"scipy {version('scipy')}.",
    ]
    for title, compare in (
        ("Simulated thighs (b = 500 s/mm², denoised, eroded by 2.5 mm; left and right)", thighs),
        ("Rician mean, b = 500 s/mm²", lambda: rician(500.0, is_raw_shown=True)),
        ("Rician mean, b = 1000 s/mm²", lambda: rician(1000.0, snrs=(10, *SNRS))),
        ("Four coils by their sum of squares, b = 500 s/mm²", lambda: rician(500.0, n_coils=4)),
        ("Fat, b = 500 s/mm², SNR 25, denoised and Rician-corrected", lambda: fat(25)),
        ("Blood (D* = 0.03 mm²/s), SNR 25, denoised and Rician-corrected", lambda: perfusion(25)),
    ):
        print(title, file=sys.stderr)
        lines += ["", f"## {title}", "", *compare()]
    REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
