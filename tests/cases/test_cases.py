"""Faults that strangers met in tools like this one: where each is tested, and those that no other file holds."""

import ast
import sys
from pathlib import Path

import pytest

from bench import image_ids

TESTS = Path(__file__).parents[1]
HELD = {
    "kept names collide": "faults/test_photographs.py::test_images_whose_names_look_alike_keep_their_own_pictures",
    "the README's model is refused": (
        "models/test_contract.py::test_a_model_that_leaves_the_blanking_to_the_harness_passes"
    ),
    "stochastic models leak": "test_api.py::test_a_function_that_does_not_repeat_is_refused_as_in_a_run",
    "8-bit BMP called 16-bit": "test_decoding.py::test_no_stride_of_an_8_bit_bmp_is_taken_for_its_depth",
    "8-bit TIFF called 16-bit": "test_decoding.py::test_no_offset_within_an_8_bit_tiff_is_taken_for_its_depth",
    "metadata called damage": "test_decoding.py::test_metadata_never_decide_whether_a_png_is_read",
    "corrupt EXIF warns in Python": "test_decoding.py::test_a_corrupt_exif_record_says_nothing_of_python",
    "other suffixes left out": "datasets/test_folder.py::test_files_that_are_no_photographs_are_counted_by_suffix",
    "unprintable names": "datasets/test_folder.py::test_spaces_joiners_and_soft_hyphens_may_stand_in_names",
    "a damaged photograph loses the run": (
        "faults/test_photographs.py::test_a_run_goes_on_without_damaged_photographs_where_it_is_told_to_and_lists_them"
    ),
    "a photograph that is gone": "faults/test_photographs.py::test_a_photograph_that_is_gone_is_named_with_the_counts",
    "publishers' lists": "datasets/test_dataset_registry.py::test_lists_are_taken_as_publishers_write_them",
    "UTF-16 lists": "datasets/test_dataset_registry.py::test_a_list_in_utf_16_is_told_what_it_is",
    "--out=~/x": "cli/test_command_line.py::test_the_home_folder_may_stand_behind_an_equals_sign",
    "paths end in tracebacks": "cli/test_every_path.py::test_any_path_is_used_or_refused_in_one_sentence",
    "consoles that cannot encode": "cli/test_command_line.py::test_a_console_that_lacks_a_sign_shows_another",
    "lists in run files": "cli/test_every_list.py::test_a_run_file_takes_a_text_a_list_and_a_list_of_one",
    "byte order marks": "test_documents.py::test_a_byte_order_mark_is_passed_over",
    "a model that exits": "faults/test_strangers.py::test_a_model_that_fails_its_process_empties_its_cell_alone",
    "JPEG under a PNG name": "run/test_export.py::test_jpeg_data_under_another_name_are_refused",
    "suffixes of predictions": "run/test_export.py::test_suffixes_of_pictures_count_in_any_case",
    "a taken name of masks": "masks/test_imported.py::test_another_set_under_a_taken_name_is_refused",
    "wrapped checkpoints": "models/test_importing.py::test_they_are_taken_off_for_a_class_of_ones_own",
    "LaTeX rows that begin with a bracket": (
        "report/test_formats.py::test_a_latex_row_that_begins_like_an_argument_is_none"
    ),
    "tensors at the library's door": "test_api.py::test_images_are_checked_at_the_door",
    "masks at the library's door": "test_api.py::test_masks_are_checked_at_the_door",
    "a lone string": "test_api.py::test_a_lone_text_is_one_name",
    "a report of a run at work": "faults/test_photographs.py::test_a_report_of_a_run_at_work_names_the_process",
    "small photographs": "datasets/test_verify.py::test_every_kind_of_fault_is_found_at_once",
    "archives that forge": "report/test_board.py::test_no_number_is_shown_that_its_rows_do_not_give",
    "tars that are cut": "datasets/test_shards.py::test_a_tar_cut_at_the_border_of_a_member_is_refused",
    "short PNG data": "test_decoding.py::test_a_png_whose_data_end_before_its_last_row_is_damaged",
    "short JPEG data": "test_decoding.py::test_a_jpeg_whose_data_end_before_its_end_of_image_is_damaged",
    "ids of two Unicode forms": (
        "datasets/test_folder.py::test_an_id_is_the_same_in_whichever_form_a_file_system_stored_its_name"
    ),
    "flipped bits": "faults/test_damage.py::test_damage_anywhere_is_named_and_made_good",
    "photographs replaced": (
        "faults/test_photographs.py::test_photographs_replaced_between_two_starts_are_refused_with_their_names"
    ),
    "names that cannot be given": (
        "cli/test_asked_for.py::test_a_name_that_cannot_be_given_ends_with_2_and_one_sentence"
    ),
    "metrics without a network": (
        "cli/test_asked_for.py::test_a_metric_that_was_named_and_has_no_network_here_ends_with_1_and_its_reason"
    ),
    "buckets of uncut sets": "cli/test_asked_for.py::test_named_buckets_cut_sets_that_papers_leave_whole",
    "runs that a layout has no use for": (
        "cli/test_asked_for.py::test_a_layout_that_takes_nothing_of_a_run_ends_with_1_and_says_what_the_run_holds"
    ),
    "files in one another's place": (
        "faults/test_damage.py::test_any_file_in_the_place_of_another_is_named_or_harmless"
    ),
    "a lost record": "faults/test_damage.py::test_what_names_the_run_is_made_again_when_it_is_lost",
    "models called like the truth": (
        "faults/test_photographs.py::test_a_model_called_as_runs_call_what_models_are_given_is_refused"
    ),
    "paths without permission": "cli/test_every_path.py::test_a_path_without_permission_is_refused_in_one_sentence",
    "a full disk": (
        "cli/test_every_path.py::test_a_full_disk_is_one_sentence_and_the_same_command_goes_on_where_there_is_room"
    ),
    "models that fork": (
        "faults/test_strangers.py::test_a_model_that_copies_its_process_or_takes_its_streams_away_is_measured_once"
    ),
    "models that bend their process": (
        "faults/test_strangers.py::test_a_model_that_bends_its_process_is_named_once_and_bends_no_other"
    ),
    "progressive JPEGs cut short and closed": (
        "test_decoding.py::test_a_progressive_jpeg_cut_short_and_closed_is_damaged"
    ),
    "one rule for models": "faults/test_one_rule.py::test_a_model_that_breaks_it_is_told_the_same_everywhere",
    "text that steers": "report/test_steering.py::test_what_a_command_prints",
    "archives that are pipes": "report/test_board.py::test_what_is_no_file_is_refused_and_never_opened",
    "names of archives that lead out": "report/test_board.py::test_an_archives_name_leads_nowhere",
    "settings beside foreign weights": (
        "models/test_importing.py::test_a_file_of_settings_beside_foreign_weights_is_no_record"
    ),
    "hidden files among masks": "masks/test_imported.py::test_hidden_files_are_passed_over",
    "numbers without bounds": (
        "cli/test_every_list.py::test_a_number_has_a_least_value_and_what_is_made_of_it_a_largest"
    ),
    "closed streams": "cli/test_command_line.py::test_streams_that_the_caller_has_closed_are_no_fault",
    "rights of new files": (
        "faults/test_strangers.py::test_files_can_be_read_whatever_a_model_makes_of_the_rights_of_new_files"
    ),
}
"""Fault -> the test that holds it."""


@pytest.mark.parametrize("fault", HELD)
def test_every_fault_has_its_test(fault):
    file, _, name = HELD[fault].partition("::")
    tree = ast.parse((TESTS / file).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("device", ["mps", "xpu", "cuda:99", "gpu"])
def test_a_device_that_is_not_here_is_one_sentence(bench, tmp_path, device):
    status, _, said = bench("run", "--device", device, "--models", "mean", "--dataset", "demo", "--out", tmp_path / "r")
    assert status == 2
    assert said.startswith(f"error: No device '{device}'")


def test_a_locale_that_cannot_spell_names_is_called_by_its_name(monkeypatch):
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    (said,) = image_ids.unwritable(["caf\udcc3\udca9"], "photographs")
    assert said.endswith("The locale has names in ascii: set LC_ALL=C.UTF-8.")
