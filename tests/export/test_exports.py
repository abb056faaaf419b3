"""Every export read back by the format's own library, corrections and awkward names included."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from cicimage.cli import main
from cicimage.export.ctc import number_tracks, paint
from cicimage.export.graph import lineages, links, tracklets
from cicimage.export.tracked import file_names, load_tracked
from cicimage.masks import Mask
from cicimage.recording.xml_tree import parse_xml
from cicimage.review.queue import build_queue, load_queue_tables
from cicimage.review.response import verdict_on
from cicimage.review.results import corrected
from cicimage.review.session import Session, position_names
from cicimage.store import read_json, read_table, write_json
from tests.review.small_world import SIDE, UM, world, write_results

WORLD = world(parents={15: 0, 16: 15})


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    made = write_results(tmp_path_factory.mktemp("export") / "out", {"A1_f1": WORLD, "A2_f1": WORLD})
    write_json(made.run, {**read_json(made.run), "configuration_hash": "c0ffee", "packages": {"numpy": "2"}})
    assert call("report", made.root) == 0
    return made


def call(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    return end.value.code


def exported(results, kind, place, *more):
    assert call("export", results.root, "--format", kind, "-o", place, *more) == 0
    return place


def cells_of(results, key="p0001"):
    return read_table(results.position(key).table("cells"), "cells")


def test_geff_is_read_by_its_own_library(results, tmp_path):
    geff = pytest.importorskip("geff")
    place = exported(results, "geff", tmp_path / "x")
    path = place / "vehicle_A1_f1.geff"
    geff.validate_structure(path)
    graph, metadata = geff.read(path, structure_validation=True, data_validation=None)
    cells = cells_of(results)
    assert graph.number_of_nodes() == len(cells)
    assert [a.name for a in metadata.axes] == ["t", "z", "y", "x"]
    expected = {(r.frame, r.cell_id): (r.y_um, r.x_um, r.z_um) for r in cells.itertuples()}
    found = {(n["t"], n["cell_id"]): (n["y"], n["x"], n["z"]) for _, n in graph.nodes(data=True)}
    assert found == expected
    for a, b in graph.edges:
        a, b = graph.nodes[a], graph.nodes[b]
        assert a["cell_id"] == b["cell_id"] or (b["cell_id"], a["cell_id"]) == (16, 15)
        assert a["t"] < b["t"]
    families = cells["cell_id"].nunique() - 1
    assert graph.number_of_edges() == len(cells) - families
    guest = next(n for _, n in graph.nodes(data=True) if n["cell_id"] == 11 and n["t"] == 8)
    assert (guest["location"], guest["host_id"], guest["population"]) == ("inside", 1, "guest")
    assert metadata.extra["cicimage"]["um_per_px"] == UM


def test_geff_tracklets_and_lineages_are_valid(results, tmp_path):
    geff = pytest.importorskip("geff")
    from geff.validate.tracks import validate_lineages, validate_tracklets

    path = exported(results, "geff", tmp_path / "x") / "vehicle_A1_f1.geff"
    memory = geff.GeffReader(path)
    memory.read_node_props()
    built = memory.build()
    ids, edges = built["node_ids"], built["edge_ids"]
    for name, check in (("tracklet", validate_tracklets), ("lineage", validate_lineages)):
        valid, errors = check(ids, edges, built["node_props"][name]["values"])
        assert valid, errors


def test_ctc_is_read_by_the_challenges_metrics(results, tmp_path):
    from ctc_metrics.utils.filesystem import parse_masks, read_tracking_file

    place = exported(results, "ctc", tmp_path / "x")
    folder = place / "vehicle_A1_f1_guest"
    tracks = read_tracking_file(str(folder / "01_RES" / "res_track.txt"))
    files = parse_masks(str(folder / "01_RES"))
    assert len(files) == WORLD.n_frames
    images = np.stack([tifffile.imread(f) for f in files])
    assert images.shape == (WORLD.n_frames, SIDE, SIDE)
    assert images.dtype == np.uint16
    for label, begin, end, parent in tracks:
        seen = np.flatnonzero((images == label).any(axis=(1, 2)))
        assert list(seen) == list(range(begin, end + 1))
        assert parent == 0 or tracks[tracks[:, 0] == parent][0][2] < begin
    assert set(np.unique(images)) - {0} == set(tracks[:, 0])
    names = pd.read_csv(folder / "cells.csv")
    assert names["cell_id"].tolist().count(13) == 2, "cell 13 is out of sight for two frames"
    second = names[names["cell_id"] == 13].iloc[1]["label"]
    assert tracks[tracks[:, 0] == second][0][3] == names[names["cell_id"] == 13].iloc[0]["label"]


def test_ctc_passes_the_challenges_own_check_of_consistency(results, tmp_path):
    traccuracy = pytest.importorskip("traccuracy.loaders")
    folder = exported(results, "ctc", tmp_path / "x") / "vehicle_A1_f1_guest"
    graph = traccuracy.load_ctc_data(folder / "01_RES", folder / "01_RES" / "res_track.txt", run_checks=True)
    seen = cells_of(results)
    guests = seen[(seen["population"] == "guest") & seen["observed"]]
    assert len(graph.graph.nodes) == len(guests)


def test_trackmate_is_read_by_a_reader_of_trackmate(results, tmp_path):
    geff = pytest.importorskip("geff")
    from geff.convert import from_trackmate_xml_to_geff

    place = exported(results, "trackmate", tmp_path / "x")
    with pytest.warns(UserWarning, match="[Mm]issing tag"):
        from_trackmate_xml_to_geff(place / "vehicle_A1_f1_guest.xml", tmp_path / "back.geff")
    graph, _ = geff.read(tmp_path / "back.geff")
    cells = cells_of(results)
    guests = cells[cells["population"] == "guest"]
    found = {
        (n["FRAME"], n["CELL_ID"]): (n["POSITION_Y"], n["POSITION_X"], n["POSITION_T"])
        for _, n in graph.nodes(data=True)
    }
    assert found == {(r.frame, r.cell_id): (r.y_um, r.x_um, r.frame * 300.0) for r in guests.itertuples()}
    tracks = guests["cell_id"].nunique() - 1
    assert graph.number_of_edges() == len(guests) - tracks


def test_trackmate_escapes_what_xml_forbids(results, tmp_path):
    from dataclasses import replace
    from pathlib import Path

    from cicimage.export.trackmate import write_trackmate

    tracked = load_tracked(results, "vehicle/A1_f1", corrected(results))
    odd = replace(tracked, path=Path('/data/<b>&"\x01.tif'))
    paths = write_trackmate(odd, tmp_path / "x")
    (image,) = parse_xml(paths[0].read_bytes(), "x").iter("ImageData")
    assert image.get("filename") == '<b>&"?.tif'


def test_napari_takes_the_tracks(results, tmp_path):
    tracks_layer = pytest.importorskip("napari.layers").Tracks
    place = exported(results, "napari", tmp_path / "x", "--only", "vehicle/A1_f1")
    assert sorted(p.name for p in place.iterdir()) == [
        "vehicle_A1_f1_guest_graph.json", "vehicle_A1_f1_guest_tracks.csv", "vehicle_A1_f1_host_graph.json",
        "vehicle_A1_f1_host_tracks.csv",
    ]  # fmt: skip
    table = pd.read_csv(place / "vehicle_A1_f1_guest_tracks.csv")
    graph = json.loads((place / "vehicle_A1_f1_guest_graph.json").read_text())
    layer = tracks_layer(
        table[["track_id", "t", "z", "y", "x"]].to_numpy(), graph={int(k): v for k, v in graph.items()},
        properties={"p_inside": table["p_inside"].to_numpy()},
    )  # fmt: skip
    assert layer.graph == {16: [15]}
    cells = cells_of(results)
    guests = cells[cells["population"] == "guest"]
    assert len(layer.data) == len(guests)
    assert np.allclose(np.sort(layer.data[:, 3]), np.sort(guests["y_um"] / UM))


def test_ro_crate_is_read_by_its_own_library(results, tmp_path):
    rocrate = pytest.importorskip("rocrate.rocrate")
    place = exported(results, "ro-crate", tmp_path / "x")
    crate = rocrate.ROCrate(place)
    names = {e.id for e in crate.data_entities}
    assert {"report.html", "run.json", "rates.parquet", "positions/p0001/masks.parquet"} <= names
    assert not any("log.jsonl" in n or "/." in n for n in names)
    for entity in crate.data_entities:
        assert (place / entity.id).stat().st_size == int(entity["contentSize"])
    action = crate.dereference("#run")
    assert action["instrument"]["name"] == "cicimage"
    assert {o["name"] for o in action["object"]} == {"vehicle/A1_f1", "vehicle/A2_f1"}
    assert str(results.root) not in (place / "ro-crate-metadata.json").read_text()


def test_exports_carry_corrections(tmp_path):
    """Rejected events leave their guests outside; `--corrections none` exports what was found."""
    results = write_results(tmp_path / "out", {"A1_f1": WORLD})
    with Session.open(results, "anna") as session:
        for item in build_queue(load_queue_tables(results, position_names(results)), session.salt):
            if item.candidate.call == "event":
                session.do(verdict_on(session.position(item.candidate.position), item, "reject"))
    mine = pd.read_csv(exported(results, "napari", tmp_path / "mine") / "vehicle_A1_f1_guest_tracks.csv")
    base = exported(results, "napari", tmp_path / "base", "--corrections", "none")
    found = pd.read_csv(base / "vehicle_A1_f1_guest_tracks.csv")
    assert (found.loc[found["track_id"] == 11, "location"] == "inside").any()
    assert not (mine.loc[mine["track_id"] == 11, "location"] == "inside").any()


def test_masks_that_a_reviewer_drew_are_exported(results, tmp_path):
    from dataclasses import replace

    laid = corrected(results)
    before = load_tracked(results, "vehicle/A1_f1", laid).masks(0, "guest")
    drawn = Mask(before[0].label, 0, 0, np.ones((2, 2), bool))
    edits = {("guest", 0, before[0].label): drawn, ("guest", 0, before[1].label): None}
    after = load_tracked(results, "vehicle/A1_f1", replace(laid, masks={"vehicle/A1_f1": edits})).masks(0, "guest")
    assert after[0] is drawn
    assert [m.label for m in after] == [m.label for m in before if m.label != before[1].label]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--format", "geff", "-o", "{out}/x"], 5, "must lie outside the results folder"),
        (["--format", "geff", "-o", "{full}"], 5, "must be empty, holds other files"),
        (["--format", "geff", "-o", "{new}", "--only", "vehicle/A1_f2"], 2, "did you mean 'vehicle/A1_f1'?"),
        (["--format", "gef", "-o", "{new}"], 2, "'geff', 'ctc', 'trackmate', 'napari', 'ro-crate'"),
        (["--format", "ro-crate", "-o", "{new}", "--only", "vehicle/A1_f1"], 2, "takes the folder as it stands"),
        (["--format", "ctc", "-o", "{new}", "--corrections", "zoe"], 2, "nobody of this name"),
    ],
)
def test_what_cannot_be_exported_says_why(results, tmp_path, capsys, arguments, code, sentence):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").touch()
    places = {"out": results.root, "full": tmp_path / "full", "new": tmp_path / "new"}
    assert call("export", results.root, *(a.format(**places) for a in arguments)) == code
    assert sentence in capsys.readouterr().err


def test_names_are_safe_and_stay_apart():
    names = file_names({"../../etc/passwd": "p1", "v/A1": "p2", "v_a1": "p3", "..": "p4", "µ/+AMD": "p5"})
    assert names == {
        "../../etc/passwd": "_.._etc_passwd", "v/A1": "v_A1_p2", "v_a1": "v_a1_p3", "..": "p4", "µ/+AMD": "µ_+AMD"
    }  # fmt: skip


def test_a_graph_by_hand():
    """Cell 1 divides at frame 2 into 2 and 3; cell 4 is alone."""
    cells = pd.DataFrame({"cell_id": [1, 1, 2, 2, 3, 4], "frame": [0, 1, 2, 3, 2, 0], "parent_id": [0, 0, 1, 1, 1, 0]})
    edges = links(cells)
    assert sorted(map(tuple, edges.tolist())) == [(0, 1), (1, 2), (1, 4), (2, 3)]
    assert tracklets(6, edges).tolist() == [1, 1, 2, 2, 3, 4]
    assert lineages(6, edges).tolist() == [1, 1, 1, 1, 1, 2]
    assert links(cells.iloc[:0]).shape == (0, 2)


def test_tracks_have_no_gaps_and_parents_end_before():
    tracks = number_tracks({7: [0, 1, 4, 5], 9: [2, 3]}, {9: 7})
    assert [(t.number, t.cell_id, t.begin, t.end, t.parent) for t in tracks] == [
        (1, 7, 0, 1, 0), (2, 9, 2, 3, 1), (3, 7, 4, 5, 1)
    ]  # fmt: skip


def test_the_smaller_of_two_masks_shows():
    large, small = Mask(1, 0, 0, np.ones((3, 3), bool)), Mask(2, 1, 1, np.ones((1, 1), bool))
    expected = [[5, 5, 5], [5, 6, 5], [5, 5, 5]]
    assert paint([small, large], [6, 5], (3, 3), np.dtype(np.uint16)).tolist() == expected


def test_long_names_of_positions_are_shortened_and_stay_apart():
    keys = {"k" * 250 + "/A1": "p0001", "k" * 250 + "/A2": "p0002", "µ" * 120 + "/A1": "p0003", "k/A1": "p0004"}
    names = file_names(keys)
    assert len(set(names.values())) == 4
    assert all(len(n.encode()) <= 190 for n in names.values())
    assert names["k/A1"] == "k_A1"
    assert names["k" * 250 + "/A2"].endswith("k_p0002")
