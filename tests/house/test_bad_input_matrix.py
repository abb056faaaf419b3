"""Every kind of bad input that the program answers for, and the tests that raise it.

`MATRIX` is the list: what is wrong, what the user is to be told or to find, and where that is tested. A new kind of
fault gets a row here and a test. What real runs of dozens of such kinds side by side say stands in
benchmarks/results/faults.md (benchmarks/lib/fault_inputs.py).
"""

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TIFF, ZARR, MAKERS, FILES = (
    f"recording/test_{n}.py" for n in ("bad_tiff", "zarr_recording", "makers_formats", "multi_file")
)
TOML, FOLDER, FORMATS = "experiment/test_experiment.py", "experiment/test_discovery.py", "cli/test_init_formats.py"
RUN, BAD, ODD, MISHAP = (f"pipeline/test_{n}.py" for n in ("run", "bad_input", "odd_recordings", "mishaps"))
ABSENT, FAULTS = "pipeline/test_frames_without_measurement.py", "preprocessing/test_frame_faults.py"
EXTREMES = "pipeline/test_extreme_recordings.py"
HOSTILE = "cli/test_hostile_recordings.py"
OTHERS = "cli/test_results_from_others.py"
CLUSTER, CHECK = "pipeline/test_cluster.py", "cli/test_check_init.py"
STORE, CSV, PAGE = "core/test_store.py", "report/test_report_csv.py", "report/test_report_page.py"

MATRIX = (
    ("empty, garbage, another kind of file", "named; that position fails, the others go on, exit 3 (all: 4)", (
        f"{TIFF}::test_empty_file", f"{TIFF}::test_no_tiff", f"{TIFF}::test_header_cut",
        f"{MAKERS}::test_content_decides_and_not_the_extension",
        f"{BAD}::test_a_broken_file_is_named_and_the_others_go_on", f"{BAD}::test_nothing_readable_at_all_is_exit_4",
    )),
    ("cut short anywhere", "which plane ends where, and what the file has", (
        f"{TIFF}::test_cut_anywhere_is_refused_or_complete", f"{TIFF}::test_plane_behind_the_end_is_named",
        f"{TIFF}::test_contiguous_imagej_cut", f"{MAKERS}::test_cut_nd2", f"{MAKERS}::test_cut_lif",
        f"{MAKERS}::test_cut_czi", f"{ZARR}::test_a_copy_that_stopped",
    )),
    ("declared planes or companion files missing", "how many of how many; never zeros", (
        f"{TIFF}::test_declared_planes_missing_in_ome", f"{TIFF}::test_companion_missing",
        f"{TIFF}::test_companion_document_missing", f"{TIFF}::test_strip_without_data_is_not_zeros",
        f"{MAKERS}::test_czi_gap_is_not_zeros", f"{FILES}::test_operetta_gaps_and_lies",
        f"{FILES}::test_imagexpress_gaps_and_twins", f"{FILES}::test_metamorph_gaps",
        f"{ZARR}::test_one_missing_chunk_names_its_planes_and_is_not_zeros",
    )),
    ("several series", "listed; choose one, or take each as a recording", (
        f"{TIFF}::test_several_series_are_listed", f"{ZARR}::test_plate_gives_wells_and_fields",
        f"{FOLDER}::test_wells_and_fields_of_a_plate_are_positions", f"{MAKERS}::test_real_lif",
    )),
    ("planes of several shapes or types", "which plane differs, and from what", (
        f"{TIFF}::test_pages_of_other_shape_or_kind", f"{TIFF}::test_xml_and_pages_disagree",
        f"{FILES}::test_one_bad_file_in_an_export_is_named",
    )),
    ("huge declared shape, decompression bomb", "what a plane needs and the budget, before memory is taken", (
        f"{TIFF}::test_huge_plane_is_refused_before_it_is_allocated",
        f"{TIFF}::test_huge_declared_counts_take_no_memory", f"{TIFF}::test_huge_tile_is_refused",
        f"{TIFF}::test_strip_that_inflates_past_its_plane", f"{TIFF}::test_strip_that_holds_too_much",
        f"{TIFF}::test_strip_whose_packed_bytes_are_far_too_many_is_not_read",
        f"{TIFF}::test_directories_without_end_are_refused_before_they_are_read",
        f"{ZARR}::test_huge_shapes_and_chunks", f"{ZARR}::test_a_chunk_unpacks_into_no_more_than_it_declares",
        f"{ZARR}::test_a_chunk_of_a_shard_unpacks_into_no_more_than_it_declares",
        f"{ZARR}::test_a_chunk_whose_file_is_too_long_is_not_read",
        f"{MAKERS}::test_czi_plane_whose_packed_pixels_are_too_many",
        f"{MAKERS}::test_nd2_frame_whose_packed_pixels_are_too_many",
        f"{MAKERS}::test_headers_without_end_are_refused_before_they_are_read",
        f"{EXTREMES}::test_a_recording_that_memory_cannot_hold_is_refused_before_it_is_begun",
    )),
    ("document types and entities in metadata, paths outside the folder", "refused", (
        f"{TIFF}::test_document_types_are_refused", f"{TIFF}::test_files_outside_the_folder_are_not_opened",
        f"{TIFF}::test_a_link_that_leads_outside_is_not_followed", f"{FILES}::test_operetta_dangers",
        f"{MAKERS}::test_document_type_in_lif", f"{ZARR}::test_paths_outside_the_folder",
        f"{FOLDER}::test_what_is_not_read_is_said_and_why",
    )),
    ("one plane of a long movie cannot be decoded", "its t, c, z; time is not shifted, the frame is missing", (
        "recording/test_tiff_recording.py::test_one_bad_plane_is_named_and_shifts_no_time",
        f"{BAD}::test_a_frame_that_cannot_be_decoded_is_missing_and_time_is_not_shifted",
        f"{ZARR}::test_a_damaged_chunk_is_its_plane",
    )),
    ("pixel size or interval missing, not a number, not above 0", "the value and where to give it", (
        f"{TIFF}::test_scale_that_is_none_is_refused_or_noted", f"{TIFF}::test_pixels_that_are_not_square",
        f"{BAD}::test_a_gap_or_a_conflict_shows_both_values", f"{TOML}::test_what_does_not_fit_is_said_in_one_sentence",
    )),
    ("a scale or a field that no microscope has", "the value and the limits", (
        f"{EXTREMES}::test_it_is_done_or_refused_with_the_number",
        f"{EXTREMES}::test_a_scale_of_the_experiment_file_has_the_same_limits",
    )),
    ("scale in conflict with the experiment file", "both values", (
        f"{BAD}::test_a_gap_or_a_conflict_shows_both_values", f"{BAD}::test_the_experiment_file_can_be_declared_right",
    )),
    ("channel or axes in conflict with the experiment", "both shown", (
        f"{BAD}::test_a_gap_or_a_conflict_shows_both_values", f"{TIFF}::test_axes_in_conflict_show_both",
        f"{TIFF}::test_order_of_planes_unknown",
    )),
    ("frames constant, saturated or not finite", "flagged in the quality table and in the report", (
        "preprocessing/test_frame_quality.py::test_saturated_constant_and_not_finite_are_named",
        f"{MISHAP}::test_constant_and_saturated_frames_are_flagged_in_table_and_report",
    )),
    ("frames without light, torn, or of one value; more than a fifth of pixels absent", "missing, and said", (
        f"{ABSENT}::test_a_frame_of_hosts_or_guests_that_shows_nothing_is_missing",
        f"{ABSENT}::test_every_channel_at_once", f"{ABSENT}::test_a_torn_readout_is_a_missing_frame",
        f"{ABSENT}::test_a_black_frame_leaves_the_bleed_through_of_the_movie_alone",
        f"{FAULTS}::test_more_than_a_fifth_of_bad_pixels_is_a_fault",
        f"{FAULTS}::test_one_bad_slice_of_a_stack_is_a_fault_of_the_frame",
    )),
    ("pixels not finite, hot, or not read out", "replaced, and no evidence", (
        f"{ABSENT}::test_a_few_pixels_without_a_measurement_are_no_evidence",
        f"{ABSENT}::test_a_growing_share_of_absent_pixels_moves_nobody_until_the_frames_are_missing",
        f"{ABSENT}::test_guests_in_a_hole_of_the_hosts_channel_are_not_seen_there",
    )),
    ("a death marker missing in some frames, on a schedule, or throughout", "unknown there, never alive, and said", (
        f"{ABSENT}::test_a_frame_without_its_marker_is_no_missing_frame_and_nobody_is_alive_in_it",
        f"{ABSENT}::test_a_marker_on_a_schedule_is_a_note_and_the_dead_are_still_dead",
        f"{ABSENT}::test_a_marker_that_is_constant_throughout_is_said_once_and_nobody_is_alive",
    )),
    ("a channel of cells constant throughout, or never usable with the other", "named; that position fails", (
        f"{ABSENT}::test_a_channel_of_cells_that_is_constant_throughout_is_refused",
        f"{ABSENT}::test_host_and_guest_that_are_never_usable_together_are_refused",
    )),
    ("a camera that clips below the pixel type's largest value, in any slice", "said, and all guests unresolved", (
        f"{ABSENT}::test_hosts_that_clip_leave_all_guests_unresolved_whatever_the_pixel_type",
        f"{FAULTS}::test_the_camera_clips_where_the_pixels_or_the_file_say",
        f"{FAULTS}::test_saturation_is_that_of_the_worst_slice",
    )),
    ("a channel bleached to nothing", "named with the position's quality", (
        f"{ODD}::test_a_channel_that_bleached_to_nothing_is_named",
        "figures/test_figure_quality.py::test_grade_and_reason",
    )),
    ("a file that still grows", "its size changed while it was read", (f"{TIFF}::test_a_file_that_grows",)),
    ("positions twice, or told apart by case, accents or endings only", "both files", (
        f"{TOML}::test_twins_are_refused", f"{FOLDER}::test_twins_by_ending_or_by_accents_are_refused",
        f"{FORMATS}::test_init_says_which_files_are_one_position_and_which_are_not_read",
        f"{CHECK}::test_check_warns_of_one_recording_under_two_names",
    )),
    ("a layout as spreadsheet programs save it", "the same design", (
        "experiment/test_spreadsheet.py::test_one_layout_saved_in_many_ways_reads_the_same",)),
    ("a dose, time or cell number that is no number", "the cell and the remedy", (
        "experiment/test_spreadsheet.py::test_a_cell_that_cannot_be_read_is_said_and_never_dropped",)),
    ("a layout in an encoding that its bytes leave open", "save as UTF-8", (
        "experiment/test_spreadsheet.py::test_an_encoding_that_the_bytes_leave_open_is_refused",)),
    ("a plate map that names a well twice", "the well and both cells", (
        "experiment/test_spreadsheet.py::test_a_plate_map_is_read_like_a_layout_and_names_a_well_once",)),
    ("one donor or condition typed in two ways", "asked about by name", (
        "experiment/test_alike.py::test_check_run_and_report_ask_whether_two_donors_are_one",)),
    ("layout rows without recordings, recordings without rows", "both lists", (
        f"{TOML}::test_a_layout_that_does_not_fit_is_said",
        f"{FOLDER}::test_a_plate_map_that_does_not_fit_is_said",
    )),
    ("one donor, or none known", "estimates, and that no test is made, and why", (
        "report/test_whole_answers.py::test_poor_experiments_are_answered",
        f"{CHECK}::test_init_proposes_a_file_that_loads_with_guesses_marked",
        f"{CHECK}::test_check_names_positions_without_a_donor_where_others_have_one",
    )),
    ("unknown key in the experiment file", "the nearest known one, exit 2", (
        f"{TOML}::test_what_does_not_fit_is_said_in_one_sentence",
        f"{BAD}::test_a_slip_in_methods_is_said_once_before_anything_runs",
        f"{BAD}::test_wrong_usage_is_exit_2_and_names_the_nearest",
    )),
    ("out of memory, out of time, a killed worker", "position, reason and peak memory; the others complete", (
        f"{MISHAP}::test_memory_that_ran_out_is_told_with_its_peak",
        f"{MISHAP}::test_a_position_that_takes_too_long_is_ended_and_named",
        f"{MISHAP}::test_a_killed_process_is_told_with_its_peak_memory",
        f"{CLUSTER}::test_a_dead_worker_is_told_with_the_likely_cause",
    )),
    ("a recording whose reader hangs, takes all memory or ends its process", "named; the others are done", (
        f"{HOSTILE}::test_check_names_each_bad_recording_and_describes_the_sound_one",
        f"{HOSTILE}::test_run_does_the_sound_one_and_status_opens_nothing",
        "core/test_guard.py::test_what_takes_too_long_is_ended_and_refused_from_then_on",
        "core/test_guard.py::test_what_takes_too_much_memory_is_ended",
        "core/test_guard.py::test_whatever_happens_in_the_child_is_a_sentence_about_the_file",
    )),
    ("a pipe, a device or a huge file where a file is expected", "refused before it is opened", (
        f"{HOSTILE}::test_pipes_and_devices_named_as_recordings_are_not_taken_up",
        f"{HOSTILE}::test_files_of_the_experiment_are_regular_and_small",
    )),
    ("a results folder from somebody else: pipes, links out of it, shared folders, escapes", "refused or escaped", (
        f"{OTHERS}::test_a_pipe_or_device_is_refused_and_not_waited_for",
        f"{OTHERS}::test_a_link_out_of_a_position_fails_it_and_nothing_else",
        f"{OTHERS}::test_a_folder_of_positions_that_lies_elsewhere_is_refused",
        f"{OTHERS}::test_two_positions_of_one_folder_are_refused",
        f"{OTHERS}::test_names_and_reasons_move_no_terminal",
        f"{CSV}::test_no_part_of_a_cell_is_run_where_semicolons_or_tabs_part_cells",
    )),
    ("the end of a session, a request to end", "as Ctrl-C, exit 130", (
        f"{OTHERS}::test_the_end_of_a_session_is_an_interrupt",)),
    ("a full disk", "finished positions kept, exit 6, the same command goes on", (
        f"{MISHAP}::test_a_full_disk_leaves_no_receipt_and_the_same_command_goes_on",
        f"{STORE}::test_a_full_disk_is_said_and_nothing_half_written_stays",
        f"{STORE}::test_a_full_disk_is_told_wherever_it_is_met",
    )),
    ("results folder held by a live run", "exit 5; array tasks share it by locks of positions", (
        f"{MISHAP}::test_a_folder_held_by_a_live_run_is_refused",
        f"{RUN}::test_a_position_that_another_run_holds_is_left_to_it",
        f"{CLUSTER}::test_a_task_of_an_array_answers_for_its_own_position_only",
    )),
    ("results folder of other recordings, other files or another version", "exit 5, and what it belongs to", (
        f"{BAD}::test_a_results_folder_of_other_recordings_is_exit_5",
        f"{BAD}::test_results_of_another_version_are_never_misread",
    )),
    ("pickled arrays or weights", "refused", (
        f"{STORE}::test_arrays_are_plain_and_pickles_are_refused",
        f"{ZARR}::test_codecs_that_could_do_more_are_refused", "house/test_house.py::test_nothing_is_unpickled",
        "events/test_emissions.py::test_built_in_parameters_read_back_as_written",
    )),
    ("HTML in names of conditions, channels and files", "text, not markup", (
        f"{PAGE}::test_hostile_names_are_escaped_everywhere",
        "report/test_report_browser.py::test_hostile_names_do_nothing",
        "core/test_crops.py::test_overlay_escapes_states_it_does_not_know",
    )),
    ("cells that a spreadsheet would run", "written so that it does not; the name stays the same elsewhere", (
        f"{CSV}::test_dangerous_cells_are_written_with_an_apostrophe", f"{CSV}::test_what_is_written_is_read_back",
        f"{ODD}::test_a_condition_that_looks_like_a_formula_keeps_its_name_and_is_not_run_by_a_spreadsheet",
    )),
    ("irregular time stamps, a pause", "time is used and not frames; the pause is shown", (
        f"{ODD}::test_a_pause_is_counted_as_time_and_shown",
        f"{ODD}::test_a_clock_that_runs_backwards_is_not_used_and_that_is_said",
        "figures/test_figure_quality.py::test_a_frame_that_is_missing_is_no_pause",
    )),
    ("no hosts, no guests, one frame, one cell, all dead, an empty field", "a valid result that explains itself", (
        f"{BAD}::test_an_odd_recording_gives_a_valid_result", f"{ODD}::test_an_empty_field_is_not_called_good",
        f"{ODD}::test_deaths_that_no_rate_counts_say_why",
    )),
)  # fmt: skip


@cache
def names_in(path):
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    return {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}


@pytest.mark.parametrize(("fault", "answer", "tests"), MATRIX, ids=[row[0] for row in MATRIX])
def test_every_row_has_its_tests(fault, answer, tests):
    assert answer
    assert tests, f"{fault}: no test raises it"
    missing = [t for t in tests if t.split("::")[1] not in names_in(t.split("::")[0])]
    assert not missing, f"{fault}: {missing}"
