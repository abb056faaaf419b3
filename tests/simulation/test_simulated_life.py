"""Life in continuous time: hazards realised as declared, events in order, truth consistent with geometry."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from cicimage.simulation.field import simulate_field
from cicimage.simulation.scenarios import HOMOTYPIC, PRESETS, SAMPLE
from cicimage.simulation.spec import Condition

BUSY = SAMPLE.replace(
    name="busy", acquisition__size_px=130, acquisition__um_per_px=1.0, acquisition__frames=31,
    acquisition__interval_min=6.0, guests__count=50, guests__dead_share=0.0, guests__floating_share=0.0,
    guests__cluster_share=0.0, guests__debris=0.0, rates__entry_per_contact_h=0.3, rates__death_per_h=0.0,
    rates__stay_h=1e6, rates__short_stay_share=0.0, conditions=[Condition(name="a").model_dump()],
)  # fmt: skip


@cache
def busy(seed=1, log_effect=0.0, **changes):
    return simulate_field(BUSY.replace(**changes), seed, log_effect=log_effect)


def begun(field):
    return [a for a in field.history.attempts if not a.prevalent and not a.inherited]


def test_entries_begin_at_the_declared_hazard():
    field = busy()
    expected = field.history.contact_hours * 0.3 / (1 - field.scenario.rates.abort_share)
    assert len(begun(field)) == pytest.approx(expected, abs=3.5 * np.sqrt(expected))


def test_encounters_give_about_the_same_rate_by_another_mechanism():
    field = busy(rates__dynamics="encounter")
    expected = field.history.contact_hours * 0.3 / (1 - field.scenario.rates.abort_share)
    assert 0.6 * expected < len(begun(field)) < 1.1 * expected + 3.5 * np.sqrt(expected)


def test_random_effects_act_on_the_log_rate():
    low, high = busy(log_effect=-1.0), busy(log_effect=0.7)
    per_hour = [len(begun(f)) / f.history.contact_hours for f in (low, high)]
    assert np.log(per_hour[1] / per_hour[0]) == pytest.approx(1.7, abs=0.6)


def test_share_aborted_and_time_taken():
    attempts = begun(busy())
    over = [a for a in attempts if a.end_reason == "aborted" or np.isfinite(a.entry_h)]
    aborted = [a for a in over if a.end_reason == "aborted"]
    assert len(aborted) / len(over) == pytest.approx(0.25, abs=3.5 * np.sqrt(0.25 * 0.75 / len(over)))
    taken = 60 * np.array([a.entry_h - a.start_h for a in over if np.isfinite(a.entry_h)])
    assert taken.min() >= 4.99
    assert taken.max() <= 60.01
    assert np.median(taken) == pytest.approx(15.0, rel=0.3)


@pytest.mark.parametrize("dynamics", ["hazard", "encounter"])
def test_events_are_in_order_and_end_once(dynamics):
    field = busy(rates__dynamics=dynamics, rates__short_stay_share=0.5, rates__stay_h=0.5, rates__death_per_h=0.1)
    end = field.time_h(field.n_frames - 1)
    runs_of = {}
    for a in field.history.attempts:
        assert a.end_reason in {"escape", "death", "aborted", "movie_end"}
        assert a.prevalent or 0 <= a.start_h <= end
        if np.isfinite(a.entry_h):
            assert a.start_h < a.entry_h <= a.end_h + 1e-9
        if a.end_reason == "aborted":
            assert np.isnan(a.entry_h)
        assert a.end_h <= end + 1e-9
        runs_of.setdefault(a.guest, []).append((0.0 if a.prevalent else a.start_h, a.end_h))
    assert any(len(r) > 1 for r in runs_of.values()), "no guest ever came back"
    for spans in runs_of.values():
        assert all(after[0] >= before[1] - 1e-9 for before, after in pairwise(spans))


def test_stays_are_a_mixture():
    field = busy(rates__short_stay_share=0.5, rates__stay_h=1e6)
    left = [60 * (a.end_h - a.entry_h) for a in begun(field) if a.end_reason == "escape"]
    assert len(left) > 10
    # a short stay lasts 5-15 min, and a third of the way out is still closed
    assert max(left) < 15 + 0.35 * 15
    stayed = [a for a in begun(field) if np.isfinite(a.entry_h) and a.end_reason == "movie_end"]
    assert len(stayed) > 10


@pytest.mark.parametrize("dynamics", ["hazard", "encounter"])
def test_inside_by_geometry_is_inside_by_dynamics(dynamics):
    field = busy(rates__dynamics=dynamics, rates__short_stay_share=0.5, rates__stay_h=1.0)
    table = field.guests
    closed, inside = table["engulfed"] > 1.02, table["location"] == "inside"
    assert inside.sum() > 100
    assert (closed & ~inside).sum() <= 0.01 * inside.sum()
    assert ((table["engulfed"] < 0.98) & inside).sum() == 0
    held = table[inside & (table["engulfed"] > 1.3)]
    # 1 um pixels: the mean over the inner half is above the thinnest point
    assert held["floor_um"].min() > 0.2
    assert held["cap_um"].min() > 0.2


@pytest.mark.slow
def test_states_of_the_vehicle_are_as_plentiful_as_in_life():
    table = simulate_field(PRESETS["cxcr4-blockade"].replace(acquisition__frames=8, guests__count=150), 5).guests
    contact = table[table["location"].isin(["attached", "entering"])]
    under = contact["contact"].isin(["under", "between"]).mean()
    assert 0.15 < under < 0.55
    assert (contact["contact"] == "on_top").mean() > 0.25
    assert {"on_top", "under", "under_two", "between", "floater", "dead_floater"} <= set(table["decoy"])


@pytest.mark.slow
def test_cutting_crawling_under_leaves_entry_alone():
    pair = [Condition(name="a").model_dump(), Condition(name="b", under=0.2).model_dump()]
    scenario = BUSY.replace(conditions=pair)
    plain, cut = (simulate_field(scenario, 3, name) for name in "ab")
    share = [f.guests["contact"].eq("under").mean() for f in (plain, cut)]
    assert share[1] < 0.5 * share[0]
    rate = [len(begun(f)) / f.history.contact_hours for f in (plain, cut)]
    assert rate[1] == pytest.approx(rate[0], rel=0.35)


def test_death_inside_and_outside():
    field = busy(rates__death_per_h=0.4, rates__death_ratio_inside=0.25, guests__inside_share=0.5)
    dying = [g.dying_h for g in field.history.guests]
    hours, deaths = {True: 0.0, False: 0.0}, {True: 0, False: 0}
    for moment in field.history.moments:
        for pose in moment.guests:
            inside = pose.level == "engulfed" and pose.engulfed >= 1.0
            hours[inside] += 0.1 * (pose.dead == 0)
            deaths[inside] += moment.time_h <= dying[pose.guest] < moment.time_h + 0.1
    ratio = (deaths[True] / hours[True]) / (deaths[False] / hours[False])
    assert deaths[True] > 5
    assert ratio == pytest.approx(0.25, abs=3.5 * 0.25 * np.sqrt(1 / deaths[True] + 1 / deaths[False]))
    assert (field.events["end_reason"] == "death").sum() == pytest.approx(deaths[True], abs=2)


def test_healthy_entrants_are_healthier_though_nothing_protects_them():
    field = busy(guests__frailty_sd=1.0)
    entered = {a.guest for a in begun(field) if np.isfinite(a.entry_h)}
    frailty = np.log([g.frailty for g in field.history.guests])
    inside = np.array([i in entered for i in range(len(frailty))])
    assert frailty[inside].mean() < frailty[~inside].mean() - 0.4


def test_eaten_dead_are_marked_and_not_scored():
    field = busy(guests__dead_share=0.5, rates__eaten_per_contact_h=1.0)
    eaten = field.events[field.events["excluded_reason"] == "dead_before_entry"]
    assert len(eaten) > 5
    assert (eaten["score"] == "").all()
    assert "dead_eaten" in set(field.guests["decoy"])


def test_divisions_give_new_ids_that_know_their_parent():
    field = busy(guests__divisions_per_h=0.4, hosts__divisions_per_h=0.15, guests__inside_share=0.3)
    ids = [c.cell_id for c in (*field.history.hosts, *field.history.guests)]
    assert len(set(ids)) == len(ids)
    for cells in (field.history.hosts, field.history.guests):
        born = [c for c in cells if c.parent_id]
        assert len(born) > 4
        assert {c.parent_id for c in born} <= {c.cell_id for c in cells if c.gone_h < 9}
    inherited = [a for a in field.history.attempts if a.inherited]
    assert inherited
    assert {a.end_reason for a in field.history.attempts} & {"host_lost", "track_lost"}
    for frame in (0, 15, 30):
        present = field.guests_in(frame)["guest_id"]
        assert present.is_unique


def test_a_dying_host_retracts_stains_and_lets_its_guests_out():
    field = busy(hosts__death_per_h=0.4, hosts__release_h=0.3, guests__inside_share=0.6)
    dead = [h for h in field.history.hosts if h.release_h < 3.0]
    assert len(dead) > 2
    ended = field.events[field.events["end_reason"] == "host_death"]
    assert len(ended) > 3
    for _, event in ended.iterrows():
        died = next(h for h in field.history.hosts if h.cell_id == event["host_id"])
        assert event["end_h"] == pytest.approx(died.dying_h + 0.5)
        guest = next(i for i, g in enumerate(field.history.guests) if g.cell_id == event["guest_id"])
        late = [m for m in field.history.moments if m.time_h > died.release_h + 0.5]
        if late:
            pose = next(p for p in late[0].guests if p.guest == guest)
            assert pose.level != "engulfed" or pose.host != field.history.hosts.index(died)
    pose = next(p for m in field.history.moments for p in m.hosts if p.dead >= 1)
    assert pose.spread < 0.85


@pytest.mark.slow
def test_killers_kill_outer_cells():
    small = HOMOTYPIC.replace(acquisition__size_px=300, acquisition__frames=40, hosts__death_per_h=0.0)
    alone, attacked = (simulate_field(small, 2, c.name) for c in small.conditions)
    deaths = [sum(np.isfinite(h.dying_h) for h in f.history.hosts) for f in (alone, attacked)]
    assert deaths[0] == 0
    assert deaths[1] > 3
    effectors = attacked.decoys_in(20)
    assert (effectors["kind"] == "effector").sum() > 5
    assert "effector" in attacked.masks_in(20)


@pytest.mark.slow
def test_dye_is_taken_up_in_contact_only():
    field = busy(nuisances__dye_transfer=0.2)
    dye = np.array([g.dye for g in field.history.guests])
    assert dye.max() <= 0.4
    assert dye.max() > 0.2
    never = [
        g.dye
        for g in simulate_field(BUSY.replace(hosts__coverage=0.001, nuisances__dye_transfer=0.2), 1).history.guests
    ]
    assert np.median(never) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "most"), [(6.0, 2.0), (10.0, 0.3)])
def test_dye_ends_at_its_maximum_however_fast_it_is_taken_up(rate, most):
    field = busy(nuisances__dye_transfer=rate, nuisances__dye_transfer_max=most)
    dye = np.array([g.dye for g in field.history.guests])
    assert dye.max() <= most + 1e-9
    assert dye.max() > 0.9 * most


@pytest.mark.slow
def test_folds_are_decoys_that_stay_attached():
    field = busy(hosts__folds=0.5)
    folds = field.guests.query("decoy == 'fold'")
    assert len(folds) > 20
    assert (folds["location"] == "attached").all()
    assert folds["ring_coverage"].mean() > 0.1


def test_the_same_seed_lives_the_same_life():
    one, two = (simulate_field(BUSY.replace(acquisition__frames=6), 9) for _ in range(2))
    assert one.guests.equals(two.guests)
    assert one.events.equals(two.events)
    other = simulate_field(BUSY.replace(acquisition__frames=6), 10)
    assert not one.guests.equals(other.guests)
