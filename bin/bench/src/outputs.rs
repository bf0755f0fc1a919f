//! The files that a benchmark leaves.

use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use hoptree_host::Failure;

use super::options::Options;
use super::page;
use super::report::Report;

/// Those that were asked for. They are opened before anything is measured, so that nothing is
/// measured in vain, and keep what was in them until then.
pub struct Outputs {
    json: Option<Output>,
    html: Option<Output>,
}

struct Output {
    path: PathBuf,
    file: File,
}

impl Outputs {
    /// Opens them.
    ///
    /// # Errors
    ///
    /// When one can't be written.
    pub fn open(options: &Options) -> Result<Outputs, Failure> {
        if options.json.is_some() && options.json == options.html {
            return Err(Failure::Usage("--json and --html name the same file".to_owned()));
        }
        let open = |path: &Option<PathBuf>| path.as_deref().map(Output::open).transpose();
        Ok(Outputs { json: open(&options.json)?, html: open(&options.html)? })
    }

    /// Writes them.
    ///
    /// # Errors
    ///
    /// When one can't be written any more; the other one is written even so.
    pub fn write(self, report: &Report) -> Result<(), Failure> {
        let json = self.json.map_or(Ok(()), |output| {
            let mut text = serde_json::to_string(report).map_err(Failure::runtime)?;
            text.push('\n');
            output.write(&text)
        });
        let html = self.html.map_or(Ok(()), |output| output.write(&page::page(report)));
        json.and(html)
    }
}

impl Output {
    fn open(path: &Path) -> Result<Output, Failure> {
        match OpenOptions::new().write(true).create(true).truncate(false).open(path) {
            Ok(file) => Ok(Output { path: path.to_owned(), file }),
            Err(error) => {
                Err(Failure::Usage(format!("can't write to '{}': {error}", path.display())))
            }
        }
    }

    fn write(mut self, text: &str) -> Result<(), Failure> {
        let what = format!("write to '{}'", self.path.display());
        let cannot = Failure::doing(&what);
        // What is no file, such as a pipe, has no length.
        if self.file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(&cannot)?;
        }
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.flush()).map_err(&cannot)
    }
}
