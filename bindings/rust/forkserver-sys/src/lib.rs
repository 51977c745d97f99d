// SPDX-License-Identifier: MIT
//! What forkserver.h declares, as far as the crate `forkserver` needs it. The header has the contracts.
//! `tests/test_rust.py` compares each line with the header, by a C compiler.
#![allow(non_camel_case_types)]

use std::os::raw::{c_char, c_int, c_long, c_void}; // core::ffi has them from Rust 1.64 on

pub const FSRV_UID_OWN: u32 = 4294967295;
pub const FSRV_PRELOAD_WARN: u32 = 0;
pub const FSRV_PRELOAD_FAIL: u32 = 1;
pub const FSRV_SERVER_TRACKER: u32 = 1;
pub const FSRV_SERVER_IN_TREE: u32 = 4;
pub const FSRV_SPAWN_KILL_ON_CLOSE: u32 = 1;
pub const FSRV_SPAWN_QUICK_EXIT: u32 = 4;
pub const FSRV_SPAWN_RESULT: u32 = 8;
pub const FSRV_STATUS_CORE_DUMPED: u32 = 1;
pub const FSRV_STATUS_TIMED_OUT: u32 = 2;
pub const FSRV_STAGE_ARGUMENT: u32 = 1;
pub const FSRV_STAGE_RESULT: u32 = 22;
pub const FSRV_MANY_IN_ORDER: u32 = 1;
pub const FSRV_ERROR_TEXT_SIZE: usize = 256;

pub const FSRV_LIMIT_SAME: u64 = u64::MAX - 1;
pub const FSRV_ATTRIBUTE_LIMITS: u64 = 1;
pub const FSRV_ATTRIBUTE_NICE: u64 = 2;
pub const FSRV_ATTRIBUTE_AFFINITY: u64 = 4;
pub const FSRV_ATTRIBUTE_OOM_SCORE_ADJ: u64 = 32;
pub const FSRV_ATTRIBUTE_UID: u64 = 128;
pub const FSRV_ATTRIBUTE_GID: u64 = 256;
pub const FSRV_ATTRIBUTE_GROUPS: u64 = 512;
pub const FSRV_ATTRIBUTE_NO_NEW_PRIVS: u64 = 65536;
pub const FSRV_ATTRIBUTE_CGROUP: u64 = 1048576;

pub enum fsrv_server {}
pub enum fsrv_request {}
pub enum fsrv_process {}
pub enum fsrv_sandbox {}
pub enum fsrv_sandbox_rule {}

/// struct rusage of getrusage(2): two times of two words each, and 14 counts.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rusage {
    pub words: [c_long; 18],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct fsrv_error {
    pub err: c_int,
    pub stage: u32,
    pub pid: i32,
    pub reserved: [u32; 5],
    pub text: [c_char; 256],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct fsrv_server_options {
    pub size: usize,
    pub preload: *const *const c_char,
    pub preload_policy: u32,
    pub standbys: u32,
    pub preload_timeout_ms: c_int,
    pub flags: u32,
    pub thread_policy: u32,
    pub memory: u32,
    pub helper_directory: *const c_char,
    pub zygote_argv: *const *const c_char,
    pub zygote_data: *const c_void,
    pub zygote_data_size: usize,
    pub sandbox: *mut fsrv_sandbox,
    pub reserved: [u64; 3],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct fsrv_status {
    pub size: usize,
    pub pid: i32,
    pub exit_code: c_int,
    pub signal: c_int,
    pub flags: u32,
    pub refused: u32,
    pub refused_call: c_int,
    pub rusage: rusage,
}

#[repr(C)]
pub struct fsrv_result {
    pub size: usize,
    pub bytes: *const c_void,
    pub n: usize,
    pub code: c_int,
    pub is_mapped: u32,
    pub status: fsrv_status,
    pub reserved: [u64; 4],
}

#[repr(C)]
pub struct fsrv_input {
    pub bytes: *const c_void,
    pub n: usize,
}

#[repr(C)]
pub struct fsrv_many {
    pub size: usize,
    pub in_flight: u32,
    pub retries: u32,
    pub flags: u32,
    pub reserved: [u32; 5],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct fsrv_limit {
    pub resource: c_int,
    pub soft: u64,
    pub hard: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct fsrv_attributes {
    pub size: usize,
    pub mask: u64,
    pub limits: *const fsrv_limit,
    pub n_limits: usize,
    pub nice: c_int,
    pub scheduler: c_int,
    pub scheduler_priority: c_int,
    pub io_class: c_int,
    pub io_level: c_int,
    pub oom_score_adj: c_int,
    pub affinity: *const c_void,
    pub affinity_size: usize,
    pub timer_slack_ns: u64,
    pub uid: u32,
    pub gid: u32,
    pub groups: *const u32,
    pub n_groups: usize,
    pub cap_effective: u64,
    pub cap_permitted: u64,
    pub cap_inheritable: u64,
    pub cap_ambient: u64,
    pub cap_bounding: u64,
    pub securebits: u32,
    pub terminal: c_int,
    pub pdeathsig: c_int,
    pub title: *const c_char,
    pub cgroup: *const c_char,
    pub cgroup_fd: c_int,
    pub dumpable: c_int,
    pub ruleset_fd: c_int,
}

#[repr(C)]
pub struct fsrv_entry {
    pub name: *const c_char,
    pub function: Option<extern "C" fn(argc: c_int, argv: *mut *mut c_char) -> c_int>,
}

#[link(name = "forkserver")]
extern "C" {
    pub fn fsrv_stage_name(stage: u32) -> *const c_char;
    pub fn fsrv_version() -> *const c_char;
    pub fn fsrv_server_new(
        options: *const fsrv_server_options,
        ret_server: *mut *mut fsrv_server,
        error: *mut fsrv_error,
    ) -> c_int;
    pub fn fsrv_server_connect(
        path: *const c_char,
        server_uid: u32,
        ret_server: *mut *mut fsrv_server,
        error: *mut fsrv_error,
    ) -> c_int;
    pub fn fsrv_server_inherit(ret_server: *mut *mut fsrv_server, error: *mut fsrv_error) -> c_int;
    pub fn fsrv_server_ensure_running(server: *mut fsrv_server, error: *mut fsrv_error) -> c_int;
    pub fn fsrv_server_wait_ready(server: *mut fsrv_server, timeout_ms: c_int, error: *mut fsrv_error) -> c_int;
    pub fn fsrv_server_stop(server: *mut fsrv_server, timeout_ms: c_int, error: *mut fsrv_error) -> c_int;
    pub fn fsrv_server_free(server: *mut fsrv_server) -> *mut fsrv_server;
    pub fn fsrv_request_new(ret_request: *mut *mut fsrv_request) -> c_int;
    pub fn fsrv_request_free(request: *mut fsrv_request) -> *mut fsrv_request;
    pub fn fsrv_request_set_entry(request: *mut fsrv_request, entry: *const c_char) -> c_int;
    pub fn fsrv_request_set_program(request: *mut fsrv_request, program: *const c_char) -> c_int;
    pub fn fsrv_request_set_argv(request: *mut fsrv_request, argv: *const *const c_char) -> c_int;
    pub fn fsrv_request_set_environment(request: *mut fsrv_request, environment: *const *const c_char) -> c_int;
    pub fn fsrv_request_set_directory(request: *mut fsrv_request, path: *const c_char) -> c_int;
    pub fn fsrv_request_set_payload_fd(request: *mut fsrv_request, fd: c_int) -> c_int;
    pub fn fsrv_request_set_time_limit(request: *mut fsrv_request, limit_ms: u64, grace_ms: u64) -> c_int;
    pub fn fsrv_request_set_flags(request: *mut fsrv_request, flags: u32) -> c_int;
    pub fn fsrv_request_set_sandbox(request: *mut fsrv_request, sandbox: *mut fsrv_sandbox) -> c_int;
    pub fn fsrv_sandbox_new(
        profile: *const c_char,
        ret_sandbox: *mut *mut fsrv_sandbox,
        error: *mut fsrv_error,
    ) -> c_int;
    pub fn fsrv_sandbox_add_path(sandbox: *mut fsrv_sandbox, path: *const c_char, access: u32) -> c_int;
    pub fn fsrv_sandbox_limit(sandbox: *mut fsrv_sandbox, resource: c_int, value: u64) -> c_int;
    pub fn fsrv_sandbox_refuse(sandbox: *mut fsrv_sandbox, groups: u32) -> c_int;
    pub fn fsrv_sandbox_allow(sandbox: *mut fsrv_sandbox, groups: u32) -> c_int;
    pub fn fsrv_sandbox_set_flags(sandbox: *mut fsrv_sandbox, flags: u32) -> c_int;
    pub fn fsrv_sandbox_seal(
        sandbox: *mut fsrv_sandbox,
        report: Option<extern "C" fn(rule: *const fsrv_sandbox_rule, data: *mut c_void)>,
        data: *mut c_void,
        error: *mut fsrv_error,
    ) -> c_int;
    pub fn fsrv_sandbox_unref(sandbox: *mut fsrv_sandbox) -> *mut fsrv_sandbox;
    pub fn fsrv_request_set_attributes(
        request: *mut fsrv_request,
        attributes: *const fsrv_attributes,
        error: *mut fsrv_error,
    ) -> c_int;
    pub fn fsrv_spawn(
        server: *mut fsrv_server,
        request: *const fsrv_request,
        ret_process: *mut *mut fsrv_process,
        error: *mut fsrv_error,
    ) -> c_int;
    pub fn fsrv_process_get_pid(process: *const fsrv_process) -> i32;
    pub fn fsrv_process_wait(
        process: *mut fsrv_process,
        timeout_ms: c_int,
        ret_status: *mut fsrv_status,
        error: *mut fsrv_error,
    ) -> c_int;
    pub fn fsrv_process_kill(process: *mut fsrv_process, signal: c_int) -> c_int;
    pub fn fsrv_process_unref(process: *mut fsrv_process) -> *mut fsrv_process;
    pub fn fsrv_run(
        server: *mut fsrv_server,
        request: *const fsrv_request,
        ret_status: *mut fsrv_status,
        error: *mut fsrv_error,
    ) -> c_int;
    pub fn fsrv_call(
        server: *mut fsrv_server,
        request: *const fsrv_request,
        input: *const c_void,
        n: usize,
        ret_result: *mut fsrv_result,
        error: *mut fsrv_error,
    ) -> c_int;
    pub fn fsrv_process_get_result(
        process: *mut fsrv_process,
        ret_result: *mut fsrv_result,
        error: *mut fsrv_error,
    ) -> c_int;
    pub fn fsrv_result_free(result: *mut fsrv_result);
    pub fn fsrv_call_many(
        server: *mut fsrv_server,
        request: *const fsrv_request,
        inputs: *const fsrv_input,
        n: usize,
        how: *const fsrv_many,
        on_result: Option<
            extern "C" fn(
                data: *mut c_void,
                index: usize,
                r: c_int,
                result: *mut fsrv_result,
                error: *const fsrv_error,
            ) -> c_int,
        >,
        data: *mut c_void,
        error: *mut fsrv_error,
    ) -> c_int;
    pub fn fsrv_worker_get_payload(ret_bytes: *mut *const c_void, ret_n: *mut usize) -> c_int;
    pub fn fsrv_worker_set_result(bytes: *const c_void, n: usize) -> c_int;
    pub fn fsrv_worker_result_buffer(n: usize, ret_bytes: *mut *mut c_void) -> c_int;
    pub fn fsrv_worker_fail(code: c_int, text: *const c_char) -> c_int;
    pub fn fsrv_zygote_enter(
        argc: c_int,
        argv: *mut *mut c_char,
        entries: *const fsrv_entry,
        error: *mut fsrv_error,
    ) -> c_int;
}
