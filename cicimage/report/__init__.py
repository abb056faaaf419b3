"""The report, one self-contained HTML page."""

from cicimage.report.build import build_report, render_report
from cicimage.report.csv_export import csv_text, read_csv, write_csv
from cicimage.report.data import Estimate, Exclusion, OpticsStatement, ReportData, Setting
from cicimage.report.verdict import Verdict, verdict

__all__ = [
    "Estimate", "Exclusion", "OpticsStatement", "ReportData", "Setting", "Verdict", "build_report", "csv_text",
    "read_csv", "render_report", "verdict", "write_csv",
]  # fmt: skip
