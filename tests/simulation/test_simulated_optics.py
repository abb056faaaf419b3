"""Light: exact in z, conserved where it must be, and blind to caps and floors where the aperture is."""

import numpy as np
import pytest
from set_scene import CENTRE, guest, host, light, scene

from cicimage.simulation.camera import bleed_matrix, expose, focus_drift, stage_drift, vignette
from cicimage.simulation.diffraction import debye_intensity, gaussian_ladder
from cicimage.simulation.optics import REACH_UM, STEP_UM, Columns, add_columns, axial_fwhm_um, make_psf
from cicimage.simulation.render import PAD
from cicimage.simulation.spec import Acquisition, Channel, Nuisances, Scenario

MIDDLE = round(CENTRE / 0.5) - PAD


@pytest.mark.parametrize(("na", "um"), [(0.45, 6.0), (0.8, 1.8), (0.95, 1.2)])
def test_axial_slice_is_the_known_one(na, um):
    """Axial slices at one Airy unit: 20x/0.45 6 um, 20x/0.8 1.8 um, 40x/0.95 1.2 um."""
    assert axial_fwhm_um(Acquisition(na=na, axial_blur=1.0)) == pytest.approx(um, rel=0.04)


@pytest.mark.parametrize("psf", ["gaussian", "born_wolf"])
@pytest.mark.parametrize("modality", ["confocal", "widefield"])
def test_a_thick_cell_in_focus_has_intensity_one(psf, modality):
    made = make_psf(Acquisition(psf=psf, modality=modality))
    at = lambda z: round((z + REACH_UM) / STEP_UM)  # noqa: E731
    assert (made.integral[:, at(3.0)] - made.integral[:, at(-3.0)]).sum() == pytest.approx(1.0, rel=0.03)
    assert (np.diff(made.integral, axis=1) >= 0).all()


@pytest.mark.parametrize("psf", ["gaussian", "born_wolf"])
def test_widefield_sees_the_same_light_at_every_focus(psf):
    per_depth = np.diff(make_psf(Acquisition(psf=psf, modality="widefield")).integral.sum(0))
    assert per_depth.min() == pytest.approx(per_depth.max(), rel=0.02)


def test_columns_are_integrals_of_the_profile():
    acquisition = Acquisition(na=0.8)
    psf = make_psf(acquisition)
    slices = np.array([-1.0, 0.5, 2.0], np.float32)
    image = np.zeros((1, 3, 1, 1), np.float32)
    low, high = np.full((1, 1), 0.3, np.float32), np.full((1, 1), 1.45, np.float32)
    add_columns(image, Columns(0, 0, low, high, np.ones((1, 1), np.float32), 1), slices, psf.integral)
    sd = axial_fwhm_um(acquisition) / 2.3548
    z = np.linspace(-40, 40, 160001)
    profile = np.exp(-0.5 * (z / sd) ** 2)
    thick = profile[np.abs(z) <= 3].sum()
    for k, height in enumerate(slices):
        inside = (z + height >= 0.3) & (z + height <= 1.45)
        assert image[0, k, 0, 0] == pytest.approx(profile[inside].sum() / thick, rel=0.01)


def test_fine_columns_share_a_pixel():
    psf = make_psf(Acquisition())
    slices = np.zeros(1, np.float32)
    coarse, fine = np.zeros((1, 1, 2, 2), np.float32), np.zeros((1, 1, 2, 2), np.float32)
    one, nine = np.ones((1, 1), np.float32), np.ones((3, 3), np.float32)
    add_columns(coarse, Columns(1, 0, -one, one, one, 1), slices, psf.integral)
    add_columns(fine, Columns(1, 0, -nine, nine, nine, 3), slices, psf.integral)
    np.testing.assert_allclose(fine, coarse, rtol=1e-5)
    assert coarse[0, 0, 1, 0] > 0
    assert np.count_nonzero(coarse) == 1


def test_debye_integral_gives_the_airy_pattern_and_the_paraxial_depth():
    """Low aperture: first dark ring at 0.61 lambda / NA, first axial zero at 2 n lambda / NA^2 (Born and Wolf 8.8)."""
    na, wavelength = 0.2, 0.5
    r = np.linspace(0, 3, 1501)
    z = np.linspace(-60, 60, 1201)
    focus = {"na": na, "immersion_index": 1.33, "wavelength_um": wavelength}
    ring = r[np.argmin(debye_intensity(r, np.zeros(1), **focus)[0][: int(2.0 / 0.002)])]
    assert ring == pytest.approx(0.61 * wavelength / na, rel=0.03)
    axial = debye_intensity(np.zeros(1), z, **focus)[:, 0]
    zero = z[z > 10][np.argmin(axial[z > 10][:400])]
    assert zero == pytest.approx(2 * 1.33 * wavelength / na**2, rel=0.05)


def test_gaussians_reproduce_the_diffracted_profile():
    sigmas, z, weights = gaussian_ladder(1.2, 1.33, 0.52, confocal=False)
    r = np.linspace(0, 4, 200)
    for defocus in (0.0, 1.0, 3.0):
        k = int(np.argmin(np.abs(z - defocus)))
        profile = debye_intensity(r, z[[k]], na=1.2, immersion_index=1.33, wavelength_um=0.52)[0]
        shares = weights[:, k]
        made = sum(w * np.exp(-0.5 * (r / s) ** 2) / (2 * np.pi * s**2) for w, s in zip(shares, sigmas, strict=True))
        within = lambda f: np.cumsum(f * r) / (f * r).sum()  # noqa: E731
        assert np.abs(within(profile) - within(made)).max() < 0.12


def test_a_dry_lens_into_water_blurs_one_side_more():
    z = np.linspace(-8, 8, 321)
    axial = debye_intensity(np.zeros(1), z, na=0.95, immersion_index=1.0, wavelength_um=0.52)[:, 0]
    matched = debye_intensity(np.zeros(1), z, na=0.95, immersion_index=1.33, wavelength_um=0.52)[:, 0]
    skew = lambda f: abs(float((f * z).sum() / f.sum()))  # noqa: E731
    assert skew(axial) > 5 * skew(matched) + 0.05


# ---------------------------------------------------------------- caps and floors


def cap_and_floor(level, na, immersion="air", **optics):
    """Host light at the guest's axis just above and just below it, over that of the plain sheet beside."""
    layers = scene([host(lamella=2.0)], [guest(level, 1.35 if level == "engulfed" else 0.0)])
    rendered, heights = light(layers, na=na, immersion=immersion, axial_blur=1.0, **optics)
    body, c = layers.bodies[0], layers.bodies[0].pose.axes[2]
    column = rendered[0, :, MIDDLE, MIDDLE]
    beside = rendered[0, :, MIDDLE, MIDDLE - 34].max()
    at = lambda z: float(np.interp(z, heights, column)) / beside  # noqa: E731
    return at(body.z + c + 0.4), at(body.z - c - 0.4)


def test_a_high_aperture_sees_cap_and_floor_of_the_inside_guest_only():
    inside, under, on_top = (cap_and_floor(s, 1.4, "oil") for s in ("engulfed", "under", "surface"))
    assert min(inside) > 0.4
    assert under[0] > 0.4
    assert under[1] < 0.1
    assert on_top[0] < 0.1
    assert on_top[1] > 0.4


@pytest.mark.parametrize("psf", ["gaussian", "born_wolf"])
def test_floor_evidence_vanishes_as_the_aperture_falls(psf):
    """Nothing is painted: what tells inside from under is light, and less of it is left the smaller the NA."""
    apertures = [(1.4, "oil"), (0.95, "air"), (0.8, "air"), (0.45, "air"), (0.2, "air")]
    contrast = []
    for na, immersion in apertures:
        inside, under = (cap_and_floor(s, na, immersion, psf=psf) for s in ("engulfed", "under"))
        contrast.append(inside[1] - under[1])
    assert contrast[0] > 0.35
    assert contrast[-1] < 0.12
    assert contrast[0] > contrast[2] > contrast[3] > contrast[4]


def test_widefield_hardly_tells_inside_from_under():
    inside, under = (cap_and_floor(s, 0.45, modality="widefield") for s in ("engulfed", "under"))
    assert abs(inside[1] - under[1]) < 0.15


def test_a_thin_floor_gives_less_light_than_a_thick_one():
    def floor_light(um):
        layers = scene([host(lamella=2.0)], [guest("engulfed", 1.35, floor=um)])
        rendered, heights = light(layers, na=1.4, immersion="oil", axial_blur=1.0)
        return np.interp(um / 2, heights, rendered[0, :, MIDDLE, MIDDLE])

    thin, middle, thick = floor_light(0.3), floor_light(0.8), floor_light(1.6)
    assert 0 < thin < middle < thick
    assert thin == pytest.approx(0.3 / 0.8 * middle, rel=0.35)


def test_a_guest_leaves_a_void_in_the_host_dye_inside_and_under():
    for level in ("engulfed", "under"):
        layers = scene([host(lamella=2.0)], [guest(level, 1.35 if level == "engulfed" else 0.0)])
        rendered, heights = light(layers, na=0.95)
        at_guest = np.interp(layers.bodies[0].z, heights, rendered[0, :, MIDDLE, MIDDLE])
        assert at_guest < 0.15 * rendered[0].max()


def test_a_membrane_label_is_dark_in_the_middle_of_a_thick_host():
    thick = host(lamella=6.0, nucleus_height=6.0)
    layers = scene([thick], [])
    acquisition = Acquisition(na=1.4, immersion="oil", um_per_px=0.5, size_px=layers.grid.shape[0] - 2 * PAD)
    from cicimage.simulation.render import Renderer

    labelled = {}
    for source in ("host_membrane", "host_cytosol"):
        scenario = Scenario(
            name="s", description="", acquisition=acquisition, channels=(Channel(name="Host", sources={source: 1.0}),)
        )
        heights = np.linspace(-2, 8, 41)
        labelled[source] = Renderer(scenario, make_psf(acquisition), heights).render(layers, (), ())[
            0, :, MIDDLE, MIDDLE
        ]
    middle, rim = 20, 8
    assert labelled["host_membrane"][middle] < 0.2 * labelled["host_membrane"][rim]
    assert labelled["host_cytosol"][middle] > labelled["host_cytosol"][rim]


# ---------------------------------------------------------------- camera


def test_photon_noise_has_the_mean_and_variance_of_photons():
    rng = np.random.default_rng(1)
    for electrons in (0.5, 3.0, 29.0, 31.0, 200.0):
        a = Acquisition(peak_electrons=electrons, background_e=0.0, read_noise_e=0.0, counts_per_electron=1.0)
        counts = expose(np.ones((1, 1, 300, 300), np.float32), a, rng).astype(float) - a.offset
        assert counts.mean() == pytest.approx(electrons, rel=0.02)
        assert counts.var() == pytest.approx(electrons, rel=0.03)


def test_gain_and_read_noise():
    a = Acquisition(background_e=0.0, read_noise_e=4.0, counts_per_electron=2.0)
    counts = expose(np.zeros((1, 1, 300, 300), np.float32), a, np.random.default_rng(2)).astype(float)
    assert counts.mean() == pytest.approx(a.offset, abs=0.1)
    assert counts.std() == pytest.approx(8.0, rel=0.02)


def test_bleed_through_vignetting_and_drift_are_as_asked():
    nuisances = Nuisances(bleed_through=0.1, vignetting=0.3, drift_um=0.0, drift_jumps=6.0, drift_jump_um=5.0)
    assert bleed_matrix(3, nuisances)[0, 1] == 0.1
    assert bleed_matrix(3, nuisances)[1, 0] == 0.05
    shade = vignette(Acquisition(size_px=64), nuisances)
    assert shade.max() == pytest.approx(1.0, abs=0.01)
    assert shade.min() == pytest.approx(0.7, abs=0.01)
    moved = stage_drift(Acquisition(frames=60), nuisances, np.random.default_rng(3))
    steps = np.hypot(*np.diff(moved, axis=0).T)
    assert set(np.round(steps, 6)) == {0.0, 5.0}
    assert (moved[0] == 0).all()


def test_lost_focus_is_marked():
    offsets, lost = focus_drift(
        Acquisition(frames=400), Nuisances(defocused_share=0.05, focus_drift_um=0.1), np.random.default_rng(4)
    )
    assert 8 <= lost.sum() <= 40
    assert (np.abs(offsets[lost]) > 2.0).all()
    assert (np.abs(offsets[~lost]) < 1.0).all()
