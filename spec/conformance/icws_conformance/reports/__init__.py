"""Reports of runs: on the terminal while it goes on; JSON, JUnit and one HTML page afterwards."""

from icws_conformance.reports.document import read_run, run_document, write_reports
from icws_conformance.reports.html import html_page
from icws_conformance.reports.junit import junit_document

__all__ = ["html_page", "junit_document", "read_run", "run_document", "write_reports"]
