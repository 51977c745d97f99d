// SPDX-License-Identifier: MIT
//! Load libraries and data once, and call each function in a fresh process of its own. If it crashes, hangs or eats
//! memory, the caller gets an error that says so.
//!
//! ```no_run
//! # fn main() -> Result<(), forkserver::Error> {
//! let server = forkserver::Server::new(&["./libparse.so"])?;
//! let request = forkserver::Request::entry("./libparse.so:parse")?.time_limit(std::time::Duration::from_secs(2));
//! let found: Vec<u8> = server.call(&request, b"untrusted bytes")?;
//! # Ok(())
//! # }
//! ```
//!
//! Functions of the program itself are called by [`entry!`] and [`enter`]. `forkserver.h` has the contract of each
//! call.

use forkserver_sys as sys;
use std::ffi::{c_void, CStr, CString};
use std::fmt;
use std::fs::File;
use std::mem;
use std::ops::Deref;
use std::os::raw::{c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::io::AsRawFd;
use std::path::Path;
use std::ptr;
use std::slice;
use std::time::Duration;

mod attributes;
mod entries;
pub use attributes::*;
pub use entries::*;
pub use sys::fsrv_entry;

const EINVAL: i32 = 22;

/// In a list of modules: this program itself. See [`enter`].
pub const MAIN: &str = "__main__";

/// Why a call failed, and how its process ended, if one ran.
#[derive(Clone, Debug)]
pub struct Error {
    /// An errno value, above 0.
    pub number: i32,
    /// Where it failed: "preload", "entry", "result" and so on.
    pub stage: &'static str,
    /// A sentence for people.
    pub text: String,
    /// What the function failed with; else 0.
    pub code: i32,
    /// The signal that ended the process; else 0.
    pub signal: i32,
    /// With what the process exited, if it did.
    pub exit_code: Option<i32>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

impl Error {
    fn argument(number: i32, text: &str) -> Error {
        Error {
            number,
            stage: "argument",
            text: text.into(),
            code: 0,
            signal: 0,
            exit_code: None,
        }
    }

    fn of(raw: &sys::fsrv_error) -> Error {
        let text = unsafe { CStr::from_ptr(raw.text.as_ptr()) }
            .to_string_lossy()
            .into_owned();
        let stage = unsafe { CStr::from_ptr(sys::fsrv_stage_name(raw.stage)) }
            .to_str()
            .unwrap_or("unknown");
        Error {
            stage,
            text,
            ..Error::argument(raw.err, "")
        }
    }

    fn of_result(raw: &sys::fsrv_error, result: &sys::fsrv_result) -> Error {
        let mut error = Error::of(raw);
        error.code = result.code;
        if result.status.size > 0 {
            error.signal = result.status.signal;
            error.exit_code = Some(result.status.exit_code).filter(|code| *code >= 0);
        }
        error
    }
}

/// Calls `function` with room for an error; below 0 that error is returned.
fn check(function: impl FnOnce(*mut sys::fsrv_error) -> c_int) -> Result<(), Error> {
    let mut error: sys::fsrv_error = unsafe { mem::zeroed() };
    if function(&mut error) < 0 {
        return Err(Error::of(&error));
    }
    Ok(())
}

fn c_string(text: impl AsRef<[u8]>) -> Result<CString, Error> {
    CString::new(text.as_ref()).map_err(|_| Error::argument(EINVAL, "there is a NUL in a string"))
}

fn c_strings(list: &[&str]) -> Result<Vec<CString>, Error> {
    list.iter().map(c_string).collect()
}

fn pointers(list: &[CString]) -> Vec<*const c_char> {
    list.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// What processes may do. It is sealed by [`Sandbox::seal`]; before that each call adds to it.
pub struct SandboxBuilder {
    raw: *mut sys::fsrv_sandbox,
}

/// A sealed sandbox. Any number of requests may be in it.
pub struct Sandbox(SandboxBuilder);

unsafe impl Send for Sandbox {}
unsafe impl Sync for Sandbox {}

impl Sandbox {
    /// "untrusted", "pure-compute", "no-network", "no-exec" or "none".
    pub fn profile(name: &str) -> Result<SandboxBuilder, Error> {
        let name = c_string(name)?;
        let mut builder = SandboxBuilder { raw: ptr::null_mut() };
        check(|error| unsafe { sys::fsrv_sandbox_new(name.as_ptr(), &mut builder.raw, error) })?;
        Ok(builder)
    }
}

impl SandboxBuilder {
    /// Files and directories: `access` is of FSRV_PATH_….
    pub fn path(self, path: &Path, access: u32) -> Result<SandboxBuilder, Error> {
        let text = c_string(path.as_os_str().as_bytes())?;
        let r = unsafe { sys::fsrv_sandbox_add_path(self.raw, text.as_ptr(), access) };
        self.keep(r, "a path of the sandbox")
    }

    /// A limit of setrlimit(2).
    pub fn limit(self, resource: i32, value: u64) -> Result<SandboxBuilder, Error> {
        let r = unsafe { sys::fsrv_sandbox_limit(self.raw, resource, value) };
        self.keep(r, "a limit of the sandbox")
    }

    /// Groups of system calls, of FSRV_REFUSE_….
    pub fn refuse(self, groups: u32) -> Result<SandboxBuilder, Error> {
        let r = unsafe { sys::fsrv_sandbox_refuse(self.raw, groups) };
        self.keep(r, "groups of system calls")
    }

    /// Groups of system calls that the profile refuses.
    pub fn allow(self, groups: u32) -> Result<SandboxBuilder, Error> {
        let r = unsafe { sys::fsrv_sandbox_allow(self.raw, groups) };
        self.keep(r, "groups of system calls")
    }

    /// FSRV_SANDBOX_….
    pub fn flags(self, flags: u32) -> Result<SandboxBuilder, Error> {
        let r = unsafe { sys::fsrv_sandbox_set_flags(self.raw, flags) };
        self.keep(r, "flags of the sandbox")
    }

    /// Nothing can be added from now on.
    pub fn seal(self) -> Result<Sandbox, Error> {
        check(|error| unsafe { sys::fsrv_sandbox_seal(self.raw, None, ptr::null_mut(), error) })?;
        Ok(Sandbox(self))
    }

    fn keep(self, r: c_int, what: &str) -> Result<SandboxBuilder, Error> {
        if r < 0 {
            return Err(Error::argument(-r, what));
        }
        Ok(self)
    }
}

impl Drop for SandboxBuilder {
    fn drop(&mut self) {
        unsafe { sys::fsrv_sandbox_unref(self.raw) };
    }
}

/// What to run.
pub struct Request {
    raw: *mut sys::fsrv_request,
    payload: Option<File>,
}

unsafe impl Send for Request {}
unsafe impl Sync for Request {}

impl Request {
    /// A function of a module, "module:function"; or ":name" of this program, see [`enter`].
    pub fn entry(name: &str) -> Result<Request, Error> {
        Request::make(name, |raw, name| unsafe { sys::fsrv_request_set_entry(raw, name) })
    }

    /// A program, which is looked up in PATH.
    pub fn program(name: &str) -> Result<Request, Error> {
        Request::make(name, |raw, name| unsafe { sys::fsrv_request_set_program(raw, name) })
    }

    fn make(name: &str, set: impl FnOnce(*mut sys::fsrv_request, *const c_char) -> c_int) -> Result<Request, Error> {
        let name = c_string(name)?;
        let mut request = Request {
            raw: ptr::null_mut(),
            payload: None,
        };
        let mut r = unsafe { sys::fsrv_request_new(&mut request.raw) };
        if r >= 0 {
            r = set(request.raw, name.as_ptr());
        }
        if r < 0 {
            return Err(Error::argument(-r, "the request's name"));
        }
        Ok(request)
    }

    /// The arguments, the first of which is the name.
    pub fn arguments(self, list: &[&str]) -> Result<Request, Error> {
        let list = c_strings(list)?;
        match unsafe { sys::fsrv_request_set_argv(self.raw, pointers(&list).as_ptr()) } {
            r if r < 0 => Err(Error::argument(-r, "the arguments")),
            _ => Ok(self),
        }
    }

    /// Kills the process after this time. Zero: never.
    pub fn time_limit(self, limit: Duration) -> Request {
        let ms = limit.as_nanos().saturating_add(999_999) / 1_000_000;
        unsafe { sys::fsrv_request_set_time_limit(self.raw, ms.min(u64::MAX as u128) as u64, 0) };
        self
    }

    /// What the process may do.
    pub fn in_sandbox(self, sandbox: &Sandbox) -> Request {
        unsafe { sys::fsrv_request_set_sandbox(self.raw, sandbox.0.raw) }; // it is sealed, so this can't fail
        self
    }

    /// What the process is and has.
    pub fn attributes(self, attributes: &Attributes) -> Result<Request, Error> {
        attributes.set(self.raw)?;
        Ok(self)
    }

    /// The payload of [`Server::call_on_file`]: the process maps the file, which must not shrink meanwhile.
    pub fn payload_file(mut self, file: File) -> Request {
        unsafe { sys::fsrv_request_set_payload_fd(self.raw, file.as_raw_fd()) };
        self.payload = Some(file);
        self
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        unsafe { sys::fsrv_request_free(self.raw) };
    }
}

/// What a function gave back. Large results are the pages that the process wrote, and are not copied.
pub struct Output(sys::fsrv_result);

unsafe impl Send for Output {}
unsafe impl Sync for Output {}

impl Output {
    fn empty() -> Output {
        let mut raw: sys::fsrv_result = unsafe { mem::zeroed() };
        raw.size = mem::size_of_val(&raw);
        Output(raw)
    }
}

impl Deref for Output {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        if self.0.bytes.is_null() {
            return &[];
        }
        unsafe { slice::from_raw_parts(self.0.bytes as *const u8, self.0.n) }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        unsafe { sys::fsrv_result_free(&mut self.0) };
    }
}

/// A handle on a fork server. Any number of threads may use it at once.
pub struct Server {
    raw: *mut sys::fsrv_server,
}

unsafe impl Send for Server {}
unsafe impl Sync for Server {}

impl Server {
    /// A private server, which loads these modules once. It starts with the first call, and ends with the handle.
    pub fn new(modules: &[&str]) -> Result<Server, Error> {
        let modules = c_strings(modules)?;
        let list = pointers(&modules);
        let mut options: sys::fsrv_server_options = unsafe { mem::zeroed() };
        options.size = mem::size_of_val(&options);
        options.preload = list.as_ptr();
        options.preload_policy = sys::FSRV_PRELOAD_FAIL;
        let mut server = Server { raw: ptr::null_mut() };
        check(|error| unsafe { sys::fsrv_server_new(&options, &mut server.raw, error) })?;
        Ok(server)
    }

    /// The server that listens at this path, and runs as this user or as root.
    pub fn connect(path: &Path) -> Result<Server, Error> {
        let path = c_string(path.as_os_str().as_bytes())?;
        let mut server = Server { raw: ptr::null_mut() };
        check(|error| unsafe { sys::fsrv_server_connect(path.as_ptr(), sys::FSRV_UID_OWN, &mut server.raw, error) })?;
        Ok(server)
    }

    /// Calls an entry point in a process of its own: bytes in, its result out.
    pub fn call(&self, request: &Request, input: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.call_for_output(request, input)?.to_vec())
    }

    /// The same without a copy of the result.
    pub fn call_for_output(&self, request: &Request, input: &[u8]) -> Result<Output, Error> {
        self.call_with(request, input.as_ptr() as *const c_void, input.len())
    }

    /// The same on the request's payload file, which is not copied either.
    pub fn call_on_file(&self, request: &Request) -> Result<Output, Error> {
        if request.payload.is_none() {
            return Err(Error::argument(EINVAL, "the request has no payload file"));
        }
        self.call_with(request, ptr::null(), 0)
    }

    fn call_with(&self, request: &Request, input: *const c_void, n: usize) -> Result<Output, Error> {
        let mut output = Output::empty();
        let mut error: sys::fsrv_error = unsafe { mem::zeroed() };
        let r = unsafe { sys::fsrv_call(self.raw, request.raw, input, n, &mut output.0, &mut error) };
        if r < 0 {
            return Err(Error::of_result(&error, &output.0));
        }
        Ok(output)
    }

    /// Calls the entry point for each input, `in_flight` at a time (0: one for each CPU). `take` gets each result once,
    /// with the number of its input, in this thread.
    pub fn call_many<F>(&self, request: &Request, inputs: &[&[u8]], in_flight: u32, mut take: F) -> Result<(), Error>
    where
        F: FnMut(usize, Result<&[u8], Error>),
    {
        let list: Vec<sys::fsrv_input> = inputs
            .iter()
            .map(|input| sys::fsrv_input {
                bytes: input.as_ptr() as *const c_void,
                n: input.len(),
            })
            .collect();
        let mut how: sys::fsrv_many = unsafe { mem::zeroed() };
        how.size = mem::size_of_val(&how);
        how.in_flight = in_flight;
        let data = &mut take as *mut F as *mut c_void;
        check(|error| unsafe {
            sys::fsrv_call_many(
                self.raw,
                request.raw,
                list.as_ptr(),
                list.len(),
                &how,
                Some(tell::<F>),
                data,
                error,
            )
        })
    }

    /// Runs the request and waits for its end: the exit code, or an error that names the signal.
    pub fn run(&self, request: &Request) -> Result<i32, Error> {
        let mut status: sys::fsrv_status = unsafe { mem::zeroed() };
        status.size = mem::size_of_val(&status);
        check(|error| unsafe { sys::fsrv_run(self.raw, request.raw, &mut status, error) })?;
        if status.signal > 0 {
            let text = format!("the process was killed by signal {}", status.signal);
            return Err(Error {
                signal: status.signal,
                stage: "result",
                ..Error::argument(5 /* EIO */, &text)
            });
        }
        Ok(status.exit_code)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        unsafe { sys::fsrv_server_free(self.raw) };
    }
}

/// A panic must not go through C. It ends this process, as it does in a thread that has no other to tell.
fn without_panic<T>(function: impl FnOnce() -> T) -> T {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(function)).unwrap_or_else(|_| std::process::abort())
}

extern "C" fn tell<F: FnMut(usize, Result<&[u8], Error>)>(
    data: *mut c_void,
    index: usize,
    r: c_int,
    result: *mut sys::fsrv_result,
    error: *const sys::fsrv_error,
) -> c_int {
    let take = unsafe { &mut *(data as *mut F) };
    let result = unsafe { &*result };
    without_panic(|| match r {
        r if r < 0 => take(index, Err(Error::of_result(unsafe { &*error }, result))),
        _ if result.bytes.is_null() => take(index, Ok(&[])),
        _ => take(
            index,
            Ok(unsafe { slice::from_raw_parts(result.bytes as *const u8, result.n) }),
        ),
    });
    0
}
