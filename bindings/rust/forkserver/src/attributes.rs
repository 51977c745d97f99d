// SPDX-License-Identifier: MIT
//! What a process is and may do.

use crate::{c_string, check, Error};
use forkserver_sys as sys;
use std::ffi::c_void;
use std::mem;
use std::os::raw::c_int;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A limit of setrlimit(2), by its RLIMIT_… number. None: that part stays as it is.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub resource: c_int,
    pub soft: Option<u64>,
    pub hard: Option<u64>,
}

/// What a process is and may do. What is None, empty or false is the server's.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    pub limits: Vec<Limit>,
    pub nice: Option<i32>,
    /// The numbers of processors.
    pub affinity: Option<Vec<usize>>,
    pub oom_score_adj: Option<i32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// The supplementary groups, all of them.
    pub groups: Option<Vec<u32>>,
    pub no_new_privs: bool,
    /// A directory of cgroups(7), version 2.
    pub cgroup: Option<PathBuf>,
}

fn put<T>(mask: &mut u64, bit: u64, field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *mask |= bit;
        *field = value;
    }
}

fn processors(numbers: &[usize]) -> Vec<u64> {
    let mut words = vec![0; numbers.iter().max().unwrap_or(&0) / 64 + 1];
    for number in numbers {
        words[number / 64] |= 1 << (number % 64);
    }
    words
}

impl Attributes {
    pub(crate) fn set(&self, request: *mut sys::fsrv_request) -> Result<(), Error> {
        let mut raw: sys::fsrv_attributes = unsafe { mem::zeroed() };
        let same = sys::FSRV_LIMIT_SAME;
        let limit = |limit: &Limit| sys::fsrv_limit {
            resource: limit.resource,
            soft: limit.soft.unwrap_or(same),
            hard: limit.hard.unwrap_or(same),
        };
        let limits: Vec<_> = self.limits.iter().map(limit).collect();
        let affinity = self.affinity.as_ref().map(|numbers| processors(numbers));
        let cgroup = match &self.cgroup {
            Some(path) => Some(c_string(path.as_os_str().as_bytes())?),
            None => None,
        };
        let mut mask = 0;
        raw.size = mem::size_of_val(&raw);
        put(&mut mask, sys::FSRV_ATTRIBUTE_NICE, &mut raw.nice, self.nice);
        put(
            &mut mask,
            sys::FSRV_ATTRIBUTE_OOM_SCORE_ADJ,
            &mut raw.oom_score_adj,
            self.oom_score_adj,
        );
        put(&mut mask, sys::FSRV_ATTRIBUTE_UID, &mut raw.uid, self.uid);
        put(&mut mask, sys::FSRV_ATTRIBUTE_GID, &mut raw.gid, self.gid);
        put(
            &mut mask,
            sys::FSRV_ATTRIBUTE_CGROUP,
            &mut raw.cgroup,
            cgroup.as_ref().map(|path| path.as_ptr()),
        );
        if !limits.is_empty() {
            mask |= sys::FSRV_ATTRIBUTE_LIMITS;
            raw.limits = limits.as_ptr();
            raw.n_limits = limits.len();
        }
        if let Some(words) = &affinity {
            mask |= sys::FSRV_ATTRIBUTE_AFFINITY;
            raw.affinity = words.as_ptr() as *const c_void;
            raw.affinity_size = words.len() * mem::size_of::<u64>();
        }
        if let Some(groups) = &self.groups {
            mask |= sys::FSRV_ATTRIBUTE_GROUPS;
            raw.groups = groups.as_ptr();
            raw.n_groups = groups.len();
        }
        if self.no_new_privs {
            mask |= sys::FSRV_ATTRIBUTE_NO_NEW_PRIVS;
        }
        raw.mask = mask;
        check(|error| unsafe { sys::fsrv_request_set_attributes(request, &raw, error) })
    }
}
