"""The reports: read a run folder or a study folder and write one page."""

from rolewise.report.page import write_report
from rolewise.report.study_page import study_sentences, write_study_report
from rolewise.report.study_summary import study_summary
from rolewise.report.summary import summary

__all__ = ["study_sentences", "study_summary", "summary", "write_report", "write_study_report"]
