"""Real pictures: guests against hand masks, hosts by their stain, default options throughout."""

import cv2
import numpy as np
import pytest
import tifffile

from cicimage.methods import Scene
from cicimage.segmentation.guests import LogGuestSegmenter
from cicimage.segmentation.hosts import ThresholdHostSegmenter

GUESTS, HOSTS = LogGuestSegmenter(), ThresholdHostSegmenter()


def plane(image):
    return np.ascontiguousarray(image, dtype=np.float32)[None]


def matched(masks, truth, least_iou=0.5):
    """True positives, found and true objects at an intersection over union."""
    area = np.bincount(truth.ravel())
    hit = set()
    for mask in masks:
        counts = np.bincount(truth[mask.window][mask.pixels], minlength=2)
        counts[0] = 0
        best = int(counts.argmax())
        if counts[best] and counts[best] / (mask.area_px + area[best] - counts[best]) >= least_iou:
            hit.add(best)
    return len(hit), len(masks), int(np.count_nonzero(area[1:]))


def f1(masks, truth, least_iou=0.5):
    tp, found, true = matched(masks, truth, least_iou)
    return 2 * tp / (found + true)


@pytest.fixture(scope="module")
def adcc(real_data):
    folder = real_data / "celldetective_adcc" / "adcc"
    image = tifffile.imread(next((folder / "images").glob("*.tif")))
    return image, tifffile.imread(next((folder / "labels_effectors").glob("*_labelled.tif")))


def test_lymphocytes_against_hand_masks(adcc):
    image, truth = adcc
    found = GUESTS.segment(Scene(plane(image[2]), 0.3112, None, (6.0, 12.0))).masks
    tp, _, true = matched(found, truth)
    assert tp / true >= 0.8
    assert f1(found, truth) >= 0.75


def test_round_nuclei_against_hand_masks(real_data):
    folder = real_data / "stardist_dsb2018"
    image, truth = tifffile.imread(folder / "img2d.tif"), tifffile.imread(folder / "mask2d.tif")
    found = GUESTS.segment(Scene(plane(image), 0.35, None, (6.0, 12.0), "nucleus")).masks
    assert f1(found, truth) > 0.75


def test_leukemia_cells_on_stroma(real_data):
    """No truth; thousands of bright round cells of which none may be lost, on dim large nuclei."""
    path = real_data / "operetta_leukemia" / "operetta_plate" / "Images" / "r03c03f01p01-ch1sk1fk1fl1.tiff"
    image = tifffile.imread(path)
    found = GUESTS.segment(Scene(plane(image), 1.196, None, (6.0, 12.0), "nucleus")).masks
    covered = found.coverage() > 0
    assert 1800 < len(found) < 3200
    assert covered[image > 15000].mean() > 0.95
    assert covered[image < np.median(image)].mean() < 0.02


@pytest.fixture(scope="module")
def spread_cells(real_data):
    folder = real_data / "spread_cells_fluorescence"
    tubulin = tifffile.imread(folder / "xyc_8bit__dapi_tublin.tif")
    actin = tifffile.imread(folder / "Osteosarcoma_01.tif")
    return {
        "tubulin": (plane(tubulin[1]), plane(tubulin[0]), 0.55, (25.0, 80.0)),
        "osteosarcoma": (plane(actin[..., 1]), plane(actin[..., 2]), 0.4, (30.0, 100.0)),
    }


@pytest.mark.parametrize("name", ["tubulin", "osteosarcoma"])
def test_spread_cells_are_split_at_their_nuclei(spread_cells, name):
    """No truth: every cell's ground is host, the empty glass is not, and most hosts hold one nucleus."""
    image, nuclei, um_per_px, diameter_um = spread_cells[name]
    hosts = HOSTS.segment(Scene(image, um_per_px, None, diameter_um, nuclei=nuclei)).masks
    ground = hosts.coverage() > 0
    assert ground[image[0] > np.percentile(image, 60)].mean() > 0.97
    assert ground[image[0] <= image.min() + 1].mean() < 0.1
    blurred = cv2.GaussianBlur(nuclei[0], (0, 0), 3)
    _, bright = cv2.threshold(blurred.astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    n, _, stats, centres = cv2.connectedComponentsWithStats(bright)
    nucleus = (stats[:, cv2.CC_STAT_AREA] * um_per_px**2 > 60) & (np.arange(n) > 0)
    y, x = centres[nucleus, 1].round().astype(int), centres[nucleus, 0].round().astype(int)
    held = np.bincount(hosts.to_labels()[y, x], minlength=len(hosts) + 1)
    assert held[0] <= 0.02 * nucleus.sum()
    assert (held[1:] == 1).mean() > 0.6
    assert (held[1:] > 1).mean() < 0.1
    assert 60 < len(hosts) < 220


def test_without_nuclei_most_cells_are_still_told_apart(spread_cells):
    image, nuclei, um_per_px, diameter_um = spread_cells["tubulin"]
    by_nuclei = HOSTS.segment(Scene(image, um_per_px, None, diameter_um, nuclei=nuclei)).masks
    by_thickness = HOSTS.segment(Scene(image, um_per_px, None, diameter_um)).masks
    assert f1(by_thickness, by_nuclei.to_labels()) > 0.7


def test_membrane_stain_is_split_at_nuclei(real_data):
    folder = real_data / "spread_cells_fluorescence"
    membrane = tifffile.imread(folder / "AS_09125_050116030001_D03f00d2.tif")
    nuclei = tifffile.imread(folder / "AS_09125_050116030001_D03f00d0.tif")
    hosts = HOSTS.segment(Scene(plane(membrane), 0.65, None, (12.0, 40.0), "membrane", nuclei=plane(nuclei))).masks
    assert 150 < len(hosts) < 350
    assert (hosts.coverage() > 0)[membrane > 40].mean() > 0.95


def test_phase_contrast_by_texture_finds_the_ground_of_cells(real_data):
    """Coarse by nature: texture gives the ground, not the outlines of crowded cells."""
    folder = real_data / "usiigaci_phase_contrast" / "set46"
    truth = cv2.imread(str(folder / "instances_ids.png"), cv2.IMREAD_UNCHANGED) > 0
    hosts = HOSTS.segment(Scene(plane(tifffile.imread(folder / "raw.tif")), 0.87, None, (40.0, 120.0), "none")).masks
    found = hosts.coverage() > 0
    assert (found & truth).sum() / (found | truth).sum() > 0.55
    assert 30 < len(hosts) < 120
