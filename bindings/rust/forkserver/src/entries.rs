// SPDX-License-Identifier: MIT
//! Functions of this program as entry points.

use crate::{c_string, check, sys, without_panic, Error};
use std::ffi::CString;
use std::os::raw::{c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::{ptr, slice};
use sys::fsrv_entry;

/// What [`entry!`] makes of a function runs this in the worker.
#[doc(hidden)]
pub fn run_entry(function: fn(&[u8]) -> Result<Vec<u8>, String>) -> c_int {
    let (mut bytes, mut n) = (ptr::null(), 0);
    unsafe { sys::fsrv_worker_get_payload(&mut bytes, &mut n) };
    let input = if n == 0 {
        &[]
    } else {
        unsafe { slice::from_raw_parts(bytes as *const u8, n) }
    };
    match without_panic(|| function(input)) {
        Ok(output) => unsafe { sys::fsrv_worker_set_result(output.as_ptr() as *const c_void, output.len()) },
        Err(text) => {
            let text = CString::new(text.replace('\0', "?")).unwrap_or_default();
            unsafe { sys::fsrv_worker_fail(1, text.as_ptr()) }
        }
    }
}

/// An entry point for [`enter`]: `entry!("name", function)`. The function is `fn(&[u8]) -> Result<Vec<u8>, String>`;
/// it gets the input of the call, and gives its result or a failure back. A panic ends the process by SIGABRT.
#[macro_export]
macro_rules! entry {
    ($name:literal, $function:path) => {{
        extern "C" fn run(_: ::std::os::raw::c_int, _: *mut *mut ::std::os::raw::c_char) -> ::std::os::raw::c_int {
            $crate::run_entry($function)
        }
        $crate::fsrv_entry {
            name: concat!($name, "\0").as_ptr() as *const ::std::os::raw::c_char,
            function: Some(run),
        }
    }};
}

/// Call this once, at the top of main, after what the workers shall share. Then requests of ":name" run these
/// functions, on a server whose modules include [`MAIN`]. In the server's zygote, which is this very program, it doesn't return.
pub fn enter(entries: Vec<fsrv_entry>) -> Result<(), Error> {
    let mut table = entries;
    table.push(fsrv_entry {
        name: ptr::null(),
        function: None,
    });
    let words = std::env::args_os()
        .map(|word| c_string(word.as_bytes()))
        .collect::<Result<Vec<_>, _>>()?;
    let argc = words.len() as c_int;
    let mut argv: Vec<*mut c_char> = words.into_iter().map(CString::into_raw).collect();
    argv.push(ptr::null_mut());
    // Both are needed as long as the program runs.
    let (argv, table) = (Box::leak(argv.into_boxed_slice()), Box::leak(table.into_boxed_slice()));
    check(|error| unsafe { sys::fsrv_zygote_enter(argc, argv.as_mut_ptr(), table.as_ptr(), error) })
}
