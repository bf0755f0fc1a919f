//! The report as a page for a browser.

use super::report::Report;

/// The page, complete in itself.
pub fn page(report: &Report) -> String {
    format!("<!DOCTYPE html>\n<title>hoptree bench</title>\n<p>{} rows</p>\n", report.rows.len())
}
