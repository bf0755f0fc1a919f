//! The machine that figures belong to.

use std::fs;
use std::thread;

/// The cores that this process may use, and the kernel, as far as the machine tells.
pub fn describe() -> String {
    let usable = thread::available_parallelism().map_or(1, usize::from);
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let model = model(&cpuinfo).map(|model| format!(" ({model})")).unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{usable} of {} cores{model}, Linux {}", cores.max(usable), kernel.trim())
}

/// The model in the text of `/proc/cpuinfo`, on machines that have it there.
fn model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found_where_there_is_one() {
        assert_eq!(model("processor\t: 0\nmodel name\t: Abacus 9\n").as_deref(), Some("Abacus 9"));
        assert_eq!(model("processor : 0\n"), None);
    }
}
