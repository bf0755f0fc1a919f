//! What the figures of a page depend on.

use super::markup::{Escaped, put};
use crate::bench::report::{Environment, Load, Report};

/// Adds what the figures depend on, and what is missing among them.
pub fn write(report: &Report, out: &mut String) {
    out.push_str("<dl>\n");
    for (name, value) in entries(&report.environment) {
        if !value.is_empty() {
            put!(out, "<div><dt>{name}</dt><dd>{}</dd></div>\n", Escaped(&value));
        }
    }
    out.push_str("</dl>\n");
    if report.interrupted {
        out.push_str("<p class=\"warning\">The run was ended early: these are the figures of the ");
        out.push_str("rounds that were complete.</p>\n");
    }
    let busy = report.loads.iter().filter_map(Load::warning);
    for warning in report.failures.iter().cloned().chain(busy) {
        put!(out, "<p class=\"warning\">{}</p>\n", Escaped(&warning));
    }
}

fn entries(environment: &Environment) -> [(&'static str, String); 10] {
    let Environment { command_line, date, hoptree, rustc, build, .. } = environment.clone();
    let libraries = environment.libraries.iter();
    let libraries: Vec<_> = libraries.map(|(name, library)| format!("{name}: {library}")).collect();
    [
        ("date", date),
        ("command line", command_line),
        ("runs", runs(environment)),
        ("machine", machine(environment)),
        ("pinned to cores", environment.pinned.clone().unwrap_or_default()),
        ("kernel", environment.kernel.clone()),
        ("governor", environment.governor.clone().unwrap_or_else(|| "not known".to_owned())),
        ("hoptree", [hoptree, build].join(", ")),
        ("libraries", libraries.join("; ")),
        ("compiler", rustc),
    ]
}

fn runs(environment: &Environment) -> String {
    let quick = if environment.quick { ", quick" } else { "" };
    format!("{}{quick}", environment.runs)
}

fn machine(environment: &Environment) -> String {
    let cores = if environment.cores == 1 { "core" } else { "cores" };
    format!("{}, {} {cores}", environment.machine, environment.cores)
}
