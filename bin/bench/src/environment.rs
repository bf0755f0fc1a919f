//! What figures depend on: the program, the machine, and how it was asked.

use std::fs;
use std::thread;
use std::time::SystemTime;

use hoptree_core::TransportSpec;

use super::report::Environment;

/// What this process finds, for a benchmark of what this compiler has built, over these transports.
pub fn find(rustc: &str, transports: &[&TransportSpec]) -> Environment {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let usable = thread::available_parallelism().map_or(1, usize::from);
    let libraries = transports.iter().map(|spec| (spec.name.to_owned(), (spec.library)()));
    Environment {
        command_line: command_line(std::env::args()),
        date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        hoptree: env!("CARGO_PKG_VERSION").to_owned(),
        rustc: rustc.to_owned(),
        build: build(),
        libraries: libraries.collect(),
        machine: model(&cpuinfo).unwrap_or("unknown processor").to_owned(),
        cores: u32::try_from(usable).unwrap_or(u32::MAX),
        kernel: format!("Linux {}", line_of("/proc/sys/kernel/osrelease").unwrap_or_default()),
        governor: line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        pinned: None,
        quick: false,
        runs: 0,
    }
}

/// Some lines of text that stand above the figures.
pub fn describe(environment: &Environment) -> String {
    let Environment { hoptree, build, rustc, machine, cores, kernel, date, .. } = environment;
    let mut text = format!(
        "{}\nhoptree {hoptree}, {build}, {rustc}\n{machine}, {cores} cores, {kernel}",
        environment.command_line
    );
    if let Some(governor) = &environment.governor {
        text.push_str(&format!(", governor {governor}"));
    }
    if let Some(cores) = &environment.pinned {
        text.push_str(&format!(", pinned to {cores}"));
    }
    let libraries: Vec<_> =
        environment.libraries.iter().map(|(name, library)| format!("{name}: {library}")).collect();
    text.push_str(&format!("; {date}\n{}\n", libraries.join(", ")));
    text
}

/// How the program was called, without the place where it lies.
fn command_line(mut args: impl Iterator<Item = String>) -> String {
    args.next();
    let words = args.map(|word| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:".contains(c);
        if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{word}'") }
    });
    ["hoptree".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

fn build() -> String {
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let linked = if cfg!(target_feature = "crt-static") { "static" } else { "dynamic" };
    format!("{profile}, {linked}")
}

/// The model in the text of `/proc/cpuinfo`, on machines that have it there.
fn model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

/// What a file of the system says, if there is one.
fn line_of(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found_where_there_is_one() {
        assert_eq!(model("processor\t: 0\nmodel name\t: Abacus 9\n"), Some("Abacus 9"));
        assert_eq!(model("processor : 0\n"), None);
    }

    #[test]
    fn the_command_line_can_be_typed_again() {
        let words = ["/usr/bin/hoptree", "bench", "--json", "my file.json"].map(str::to_owned);
        assert_eq!(command_line(words.into_iter()), "hoptree bench --json 'my file.json'");
    }

    #[test]
    fn what_stands_above_the_figures_is_known() {
        let environment = find("rustc 1.91.0", &[]);
        assert!(environment.rustc.starts_with("rustc 1."), "{environment:?}");
        assert!(environment.date.ends_with('Z') && environment.cores > 0, "{environment:?}");
        assert!(describe(&environment).lines().count() >= 4);
    }
}
