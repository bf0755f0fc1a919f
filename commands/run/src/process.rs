//! How a process is started that becomes a program.
//!
//! A process that begins as a copy of this one (`fork`) costs the more the larger a node is. So the new one has
//! this one's memory, and the thread that starts it waits until it is another program (`vfork`).

use std::collections::BTreeMap;
use std::env;
use std::ffi::{CStr, CString, OsString, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::ptr;

use rustix::process::{Pid, WaitOptions, waitpid};

/// What runs a script that does not say what runs it.
const SHELL: &CStr = c"/bin/sh";

/// How much the process needs until it is the program. It makes system calls only.
const STACK_BYTES: usize = 64 * 1024;

/// A program with its arguments and its environment, as the system takes them.
#[derive(Debug)]
pub struct Image {
    /// Where the program may be, in the order of the search.
    paths: Vec<CString>,
    /// Its name is the first.
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Image {
    /// The first program that is found at one of `paths`, under this name. Its environment is that of this
    /// process and `variables`, of which the later one counts if two have the same name.
    ///
    /// # Errors
    ///
    /// When there is a NUL character in any of it.
    pub fn new(
        paths: Vec<PathBuf>,
        name: &str,
        arguments: &[String],
        variables: &[(String, String)],
    ) -> io::Result<Image> {
        let mut environment: BTreeMap<OsString, OsString> = env::vars_os().collect();
        environment.extend(variables.iter().map(|(name, value)| (name.into(), value.into())));
        let variable = |(name, value): (&OsString, &OsString)| {
            CString::new([name.as_bytes(), b"=", value.as_bytes()].concat())
        };
        let words = [name].into_iter().chain(arguments.iter().map(String::as_str));
        let paths = paths.into_iter().map(|path| CString::new(path.into_os_string().into_vec()));
        Ok(Image {
            paths: paths.collect::<Result<_, _>>()?,
            arguments: words.map(CString::new).collect::<Result<_, _>>()?,
            environment: environment.iter().map(variable).collect::<Result<_, _>>()?,
        })
    }
}

/// Starts a process that calls `prepare` and becomes the program, which it is when this returns.
///
/// # Errors
///
/// When there can't be one more process, or why it is not the program. There is no process then.
///
/// # Safety
///
/// `prepare` must make system calls only. It runs in the new process, but in the memory of this one, whose
/// other threads go on.
pub unsafe fn spawn(image: &Image, prepare: &dyn Fn() -> io::Result<()>) -> io::Result<Pid> {
    let mut birth = Birth {
        prepare,
        paths: &image.paths,
        arguments: [SHELL.as_ptr()].into_iter().chain(pointers(&image.arguments)).collect(),
        environment: pointers(&image.environment).collect(),
        failure: None,
    };
    let mut stack = Box::<[u128]>::new_uninit_slice(STACK_BYTES / size_of::<u128>());
    let top = stack.as_mut_ptr_range().end;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let blocked = Blocked::new();
    // SAFETY: this thread does not go on before the process has another memory, or has ended, so that what it
    // was given stays valid, and nobody else uses it. It has a stack of its own, and no signal makes it run
    // code of this process.
    let number = unsafe { libc::clone(begin, top.cast(), flags, (&raw mut birth).cast()) };
    let refused = io::Error::last_os_error();
    drop(blocked);
    let pid = Some(number).filter(|number| *number > 0).and_then(Pid::from_raw).ok_or(refused)?;
    match birth.failure {
        None => Ok(pid),
        Some(failure) => {
            // Its end, which was the last that it did, is nobody's to know.
            let _ = waitpid(Some(pid), WaitOptions::empty());
            Err(failure)
        }
    }
}

/// What a new process works with, all of it made before: it must not allocate.
struct Birth<'a> {
    prepare: &'a dyn Fn() -> io::Result<()>,
    paths: &'a [CString],
    /// The shell, the name of the program, its arguments, and null.
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    /// Why it has not become the program.
    failure: Option<io::Error>,
}

fn pointers(texts: &[CString]) -> impl Iterator<Item = *const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()])
}

/// The process from its beginning to its end, unless it becomes the program.
extern "C" fn begin(birth: *mut c_void) -> c_int {
    // SAFETY: it is what `spawn` has given, and does not touch meanwhile.
    let birth = unsafe { &mut *birth.cast::<Birth<'_>>() };
    let prepared = (birth.prepare)();
    birth.failure = Some(prepared.err().unwrap_or_else(|| birth.become_program()));
    0
}

impl Birth<'_> {
    /// Returns only with the reason why not.
    fn become_program(&mut self) -> io::Error {
        let (mut failure, mut forbidden) = (None, None);
        for path in self.paths {
            let error = self.execute(path);
            match error.raw_os_error() {
                Some(libc::EACCES) => forbidden = Some(error),
                Some(
                    libc::ENOENT | libc::ENOTDIR | libc::ENODEV | libc::ESTALE | libc::ETIMEDOUT,
                ) => {
                    failure = Some(error);
                }
                _ => return error,
            }
        }
        let failure = forbidden.or(failure);
        failure.unwrap_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }

    fn execute(&mut self, path: &CStr) -> io::Error {
        let environment = self.environment.as_ptr();
        // SAFETY: both lists end with null, and lead to texts that end with NUL.
        unsafe { libc::execve(path.as_ptr(), self.arguments[1..].as_ptr(), environment) };
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ENOEXEC) {
            return error;
        }
        self.arguments[1] = path.as_ptr();
        // SAFETY: as above.
        unsafe { libc::execve(SHELL.as_ptr(), self.arguments.as_ptr(), environment) };
        io::Error::last_os_error()
    }
}

/// As long as there is one, no signal comes to the thread that has made it.
struct Blocked {
    before: libc::sigset_t,
}

impl Blocked {
    fn new() -> Blocked {
        let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        // SAFETY: the first call sets `all`, and the second one `before`: neither can fail.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            Blocked { before: before.assume_init() }
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: only this thread's mask is set, to what it was.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut())
        };
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::chdir;

    use super::*;

    fn image(paths: &[&str], arguments: &[&str]) -> Image {
        let paths = paths.iter().map(PathBuf::from).collect();
        let arguments: Vec<_> = arguments.iter().map(|word| (*word).to_owned()).collect();
        Image::new(paths, "sh", &arguments, &[]).unwrap()
    }

    /// The status with which it ends.
    fn spawn(image: &Image, prepare: &dyn Fn() -> io::Result<()>) -> io::Result<Option<i32>> {
        // SAFETY: the tests make system calls only.
        let pid = unsafe { super::spawn(image, prepare) }?;
        Ok(waitpid(Some(pid), WaitOptions::empty())?.and_then(|(_, status)| status.exit_status()))
    }

    #[test]
    fn the_search_goes_on_where_there_is_nothing_and_ends_where_something_is() {
        let prepare = || Ok(());
        let arguments = ["-c", "exit 7"];
        let found = image(&["/no/such", "/etc/passwd/no", "/etc/passwd", "/bin/sh"], &arguments);
        assert_eq!(spawn(&found, &prepare).unwrap(), Some(7));
        for (paths, error) in [
            (&["/no/such", "/no"][..], libc::ENOENT),
            (&["/etc/passwd", "/no/such"], libc::EACCES),
            (&[], libc::ENOENT),
        ] {
            let refused = spawn(&image(paths, &arguments), &prepare).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(error), "{paths:?}");
        }
    }

    #[test]
    fn what_was_prepared_is_that_of_the_new_process_alone() {
        let directory = env::current_dir().unwrap();
        let shell = image(&["/bin/sh"], &["-c", "test $PWD = /"]);
        assert_eq!(spawn(&shell, &|| Ok(chdir(c"/")?)).unwrap(), Some(0));
        assert_eq!(env::current_dir().unwrap(), directory);
        let refused = spawn(&shell, &|| Err(io::Error::from_raw_os_error(libc::EPERM)));
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EPERM));
    }
}
