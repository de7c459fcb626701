"""Make `dwidenoise.npz`: a small series, and what dwidenoise of MRtrix3 makes of it.

    python tests/reference/dwidenoise.py

Needs dwidenoise on the path; made with MRtrix3 3.0.3.
"""

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
from numpy.random import default_rng

SHAPE, N_VOLUMES = (9, 8, 7), 10
COMMAND = "dwidenoise in.nii out.nii -noise noise.nii -mask mask.nii -extent 5,5,5 -datatype float64 -quiet"


def scan() -> tuple[np.ndarray, np.ndarray]:
    """Three tissues and noise, and a mask that reaches the borders."""
    rng = default_rng(5)
    x, y, z = np.indices(SHAPE)
    tissues = np.stack([1 + 0.2 * np.sin(x), (y > 3) + 0.1 * z, 0.5 + 0.05 * x * y], axis=-1)
    signal = 100 * tissues @ rng.uniform(0.3, 1, (3, N_VOLUMES)) + rng.normal(0, 4, (*SHAPE, N_VOLUMES))
    return signal.astype(np.float32), (x + y + z) % 5 > 0


def main() -> None:
    """Run dwidenoise and keep what goes in and what comes out."""
    signal, mask = scan()
    with TemporaryDirectory() as name:
        folder = Path(name)
        nib.save(nib.Nifti1Image(signal, np.eye(4)), folder / "in.nii")
        nib.save(nib.Nifti1Image(mask.astype(np.uint8), np.eye(4)), folder / "mask.nii")
        subprocess.run(COMMAND.split(), cwd=folder, check=True)
        denoised, noise = (np.asarray(nib.load(folder / f"{which}.nii").dataobj) for which in ("out", "noise"))
    np.savez_compressed(
        Path(__file__).with_suffix(".npz"), signal=signal, mask=mask, denoised=denoised[mask], noise_sd=noise[mask]
    )


if __name__ == "__main__":
    main()
