//! A program that writes as fast as it is read.

use std::io::Read;
use std::process::{Child, ChildStdout, Command, Stdio};

use hoptree_host::Failure;

/// How much it writes: so much that its start does not count.
pub const BYTES: usize = 16 * 1024 * 1024;

/// Its name and its arguments.
pub fn command() -> [String; 4] {
    ["head", "-c", &BYTES.to_string(), "/dev/zero"].map(str::to_owned)
}

/// The program, which runs without any node, and the pipe that it writes to.
pub struct Program {
    process: Child,
    pipe: ChildStdout,
    /// How many bytes are still to be read.
    left: usize,
}

impl Program {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn start() -> Result<Program, Failure> {
        let [name, arguments @ ..] = command();
        let mut command = Command::new(name);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(Failure::doing("start 'head'"))?;
        let pipe = process.stdout.take().expect("it was asked for");
        Ok(Program { process, pipe, left: BYTES })
    }

    /// Reads so much of its output, in blocking calls. [`BYTES`] must be a multiple of that.
    ///
    /// # Errors
    ///
    /// When it has not written as much.
    pub fn read(&mut self, output: &mut [u8]) -> Result<(), Failure> {
        self.left -= output.len();
        self.pipe.read_exact(output).map_err(Failure::doing("read what 'head' writes"))
    }

    /// The program, as long as there is more to read; else it is waited for.
    ///
    /// # Errors
    ///
    /// When the system refuses to wait.
    pub fn go_on(mut self) -> Result<Option<Program>, Failure> {
        if self.left > 0 {
            return Ok(Some(self));
        }
        self.process.wait().map_err(Failure::doing("wait for 'head'"))?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_to_its_end() {
        let mut program = Some(Program::start().unwrap());
        let mut output = vec![1; BYTES / 4];
        for _ in 0..4 {
            let mut running = program.take().unwrap();
            running.read(&mut output).unwrap();
            assert!(output.iter().all(|byte| *byte == 0));
            program = running.go_on().unwrap();
        }
        assert!(program.is_none());
    }
}
