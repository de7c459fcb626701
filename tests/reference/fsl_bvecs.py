"""Directions that MRtrix 3.0.3 makes of one `.bvec` file on grids of all 48 storage orders, straight and oblique.

    python tests/reference/fsl_bvecs.py

Writes fsl_bvecs.json; needs `mrinfo`.
"""

import json
import subprocess
import tempfile
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.spatial.transform import Rotation

BVALS = [0, 500, 500, 500]
BVECS = [[0, 0, 0], [0.36, 0.48, -0.8], [2 / 3, -1 / 3, 2 / 3], [0.6, 0, 0.8]]
TILTS = {"straight": np.eye(3), "oblique": Rotation.from_euler("xyz", (18, -11, 25), degrees=True).as_matrix()}

cases = []
with tempfile.TemporaryDirectory() as folder:
    image, bval, bvec = (Path(folder, name) for name in ("x.nii", "x.bval", "x.bvec"))
    np.savetxt(bval, [BVALS])
    np.savetxt(bvec, np.transpose(BVECS))
    for (tilt, turn), axes, signs in product(TILTS.items(), permutations(range(3)), product((1, -1), repeat=3)):
        affine = np.eye(4)
        affine[:3, :3] = turn @ (np.eye(3)[:, list(axes)] * signs * (2.0, 2.5, 5.0))
        nib.save(nib.Nifti1Image(np.ones((3, 4, 5, 4), np.int16), affine), image)
        command = ["mrinfo", "-quiet", image, "-fslgrad", bvec, bval, "-dwgrad"]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        world = [[float(word) for word in line.split()[:3]] for line in said.splitlines() if line.strip()]
        cases.append({"tilt": tilt, "affine": np.round(affine[:3, :3], 8).tolist(), "directions": world})
lines = ",\n".join(json.dumps(case) for case in cases)
text = f'{{"bvecs": {json.dumps(BVECS)}, "cases": [\n{lines}\n]}}\n'
Path(__file__).with_suffix(".json").write_text(text, encoding="utf-8")
