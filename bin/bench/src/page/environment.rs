//! What the figures of a page depend on.

use super::joined;
use super::markup::{Escaped, put};
use crate::report::{Load, Report};

/// Adds what the figures depend on, most of it folded, and what is missing among them.
pub fn write(report: &Report, out: &mut String) {
    let environment = &report.environment;
    let cores = format!("{} cores", environment.cores);
    let machine = joined([&*environment.machine, &cores, &environment.kernel, &environment.date]);
    put!(out, "<details>\n<summary>{}</summary>\n<dl>\n", Escaped(&machine));
    let quick = if environment.quick { "quick" } else { "" };
    let libraries =
        environment.libraries.iter().map(|(name, library)| format!("{name}: {library}"));
    for (name, value) in [
        ("command line", environment.command_line.clone()),
        ("runs", joined([&environment.runs.to_string(), quick])),
        ("pinned to cores", environment.pinned.clone().unwrap_or_default()),
        ("governor", environment.governor.clone().unwrap_or_default()),
        ("hoptree", joined([&*environment.hoptree, &environment.build])),
        ("libraries", libraries.collect::<Vec<_>>().join("; ")),
        ("compiler", environment.rustc.clone()),
    ] {
        if !value.is_empty() {
            put!(out, "<dt>{name}</dt><dd>{}</dd>\n", Escaped(&value));
        }
    }
    out.push_str("</dl>\n</details>\n");
    if report.interrupted {
        out.push_str("<p class=\"warning\">The run was ended early: these are the figures of the ");
        out.push_str("rounds that were complete.</p>\n");
    }
    let busy = report.loads.iter().filter_map(Load::warning);
    for warning in report.failures.iter().cloned().chain(busy) {
        put!(out, "<p class=\"warning\">{}</p>\n", Escaped(&warning));
    }
}
