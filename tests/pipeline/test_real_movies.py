"""Real movies run to a valid result: no truth is known for them, so what is checked is that nothing breaks."""

import numpy as np
import pytest
import tifffile

from cicimage.cli import main
from cicimage.store import read_table

TOML = """
[files]
axes = "{axes}"
{cells}
[optics]
um_per_px = {um}
frame_interval_s = {interval}
"""


def run(root, out):
    with pytest.raises(SystemExit) as done:
        main(["run", str(root), "-o", str(out), "--workers", "1"])
    assert done.value.code == 0
    return {n: read_table(out / f"{n}.parquet", n) for n in ("frames", "guests", "hosts", "rates", "drift")}


TWO_CHANNELS = "[channels]\nhost = 0\nguest = 1"
ONE_CHANNEL = '[populations.cells]\nchannel = 0\nroles = ["host", "guest"]\ndiameter_um = [8, 40]'


def write(root, stack, **values):
    (root / "movie").mkdir(parents=True)
    tifffile.imwrite(root / "movie" / "A1_f1.tif", stack, photometric="minisblack")
    (root / "experiment.toml").write_text(TOML.format(**values))


@pytest.mark.slow
def test_two_channel_mitosis_runs(real_data, tmp_path):
    folder = real_data / "imagej_mitosis_2ch"
    stack = np.stack([tifffile.imread(folder / f"C{c}-MAX_mitosis.tif") for c in (1, 2)], axis=1)
    write(tmp_path / "in", stack, axes="TCYX", cells=TWO_CHANNELS, um=0.0885, interval=1)
    found = run(tmp_path / "in", tmp_path / "out")
    assert len(found["drift"]) == 51
    assert np.hypot(found["drift"]["dy_um"], found["drift"]["dx_um"]).max() < 5, "the spindle hardly moves"
    assert len(found["rates"])


@pytest.mark.slow
def test_migrating_cancer_cells_are_followed(real_data, tmp_path):
    """One channel: one population in both roles."""
    stack = tifffile.imread(real_data / "cancer_cell_migration" / "cancer_cell_migration_crop.tif")
    write(tmp_path / "in", stack[:, None], axes="TCYX", cells=ONE_CHANNEL, um=0.65, interval=300)
    found = run(tmp_path / "in", tmp_path / "out")
    lengths = found["guests"]["last_frame"] - found["guests"]["first_frame"] + 1
    assert (lengths >= 24).sum() >= 3, "some cells are followed over half of the movie"
