"""The report: reads a run folder and writes one page."""

from rolewise.report.page import write_report
from rolewise.report.summary import summary

__all__ = ["summary", "write_report"]
