//! What tells this very program from all others.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};

use blake2::Blake2b;
use blake2::digest::Digest;
use blake2::digest::consts::U20;

/// The program that runs.
const PROGRAM: &str = "/proc/self/exe";

const DIGEST_BYTES: usize = 20;

const BLOCK_BYTES: usize = 128 * 1024;

/// A program, as another machine must have it.
#[derive(Debug)]
pub struct Program {
    pub file: File,
    pub size: u64,
    /// Of all its bytes, in hexadecimal digits.
    pub digest: String,
}

impl Program {
    /// The one that runs.
    ///
    /// # Errors
    ///
    /// When it can't be read.
    pub fn own() -> io::Result<Program> {
        Program::of(File::open(PROGRAM)?)
    }

    fn of(mut file: File) -> io::Result<Program> {
        let mut hasher = Blake2b::<U20>::new();
        let mut block = vec![0; BLOCK_BYTES];
        let mut size = 0;
        loop {
            let read = match file.read(&mut block) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            size += read as u64;
            hasher.update(&block[..read]);
        }
        let mut digest = String::new();
        for byte in hasher.finalize() {
            write!(digest, "{byte:02x}").expect("writing to a String can't fail");
        }
        Ok(Program { file, size, digest })
    }
}

/// Whether a text can be a digest.
pub fn is_digest(text: &str) -> bool {
    text.len() == 2 * DIGEST_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_program_that_is_cut_short_is_another_one() {
        let whole = Program::own().unwrap();
        assert_eq!(whole.size, fs::metadata(PROGRAM).unwrap().len());
        assert!(is_digest(&whole.digest) && !is_digest("no such program"));
        let path = std::env::temp_dir().join(format!("hoptree-digest-{}", std::process::id()));
        let bytes = fs::read(PROGRAM).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let cut = Program::of(File::open(&path).unwrap()).unwrap();
        fs::remove_file(path).unwrap();
        assert_eq!(cut.size, whole.size - 1);
        assert_ne!(cut.digest, whole.digest);
    }
}
