//! What `hoptree --version` says.

use std::fmt::Write;

/// The compiler.
pub const RUSTC: &str = env!("HOPTREE_RUSTC");

/// The program's version, what it was built from, and the libraries of its transports, one a line.
pub fn version() -> String {
    let mut text = env!("CARGO_PKG_VERSION").to_owned();
    let commit = env!("HOPTREE_COMMIT");
    if !commit.is_empty() {
        write!(text, " ({commit})").expect("writing to a String can't fail");
    }
    let linked = hoptree_core::linked_transports().unwrap_or_default();
    let mut libraries: Vec<_> = linked.iter().map(|spec| (spec.library)()).collect();
    libraries.dedup();
    let lines = [RUSTC.to_owned()].into_iter().chain(libraries);
    lines.for_each(|line| text.extend(["\n", &line]));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_the_compiler_and_each_library_once() {
        let text = version();
        let (first, rest) = text.split_once('\n').unwrap();
        assert!(first.starts_with(env!("CARGO_PKG_VERSION")), "{text}");
        assert!(rest.starts_with("rustc "), "{text}");
        let libraries: Vec<_> = rest.lines().skip(1).collect();
        assert_eq!(
            libraries.iter().filter(|line| line.starts_with("libzmq 4")).count(),
            usize::from(cfg!(feature = "zmq")),
            "{text}"
        );
    }
}
