/* SPDX-License-Identifier: MIT */
#ifndef FORKSERVER_NATIVE_H
#define FORKSERVER_NATIVE_H

/*
 * The extension: the library's handles as Python objects, and the Python host of a zygote. Stable ABI of CPython 3.9;
 * only the public headers of the library.
 *
 * The GIL is released around every call that can wait. Python's signal handlers run meanwhile (PEP 475), and may raise:
 * a wait for a process is made of poll(2) and looks without waiting; the library asks us while it waits for a server.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03090000
#include <Python.h>
#ifdef Py_GIL_DISABLED
#error "forkserver needs an interpreter with the GIL: a free-threaded one has threads of its own at the time of a fork"
#endif

#include <forkserver.h>

/* module.c: forkserver.Error(errno, text, stage), or an OSError; both return NULL. */
PyObject *native_raise(int r, const struct fsrv_error *error);
PyObject *native_raise_plain(int r, const char *what);

/* process.c, server.c: the types, made once. NULL with an exception. */
PyObject *native_process_type(void);
PyObject *native_server_type(void);
/* The owner of the process. The process is lost, and gets killed, when the object goes while `owner` lives and has
 * another `_popen` than `keeper`, which is only compared. owner: a weak reference, or NULL; borrowed. */
struct native_owner {
        PyObject *owner;
        const PyObject *keeper;
};
/* Takes the handle over, on failure too. */
PyObject *native_process_new(struct fsrv_process *process, const struct native_owner *owner);

/* result.c: a buffer. Takes the result over, on failure too. */
PyObject *native_result_type(void);
PyObject *native_result_new(struct fsrv_result *result);

/* sandbox.c: the sandbox of a capsule, borrowed; of None NULL. NULL with an exception: it is something else. */
struct fsrv_sandbox *native_sandbox_of(PyObject *object);

/* attributes.c: sets what a dict of _attributes.py says, or nothing of None. -1 with an exception. */
int native_set_attributes(struct fsrv_request *request, PyObject *attributes);

/* audit.c, immortal.c, process.c, result.c, sandbox.c, server.c, zygote.c, worker.c: the module's functions. */
PyObject *native_result_buffer(PyObject *module, PyObject *args);
PyObject *native_has_reader(PyObject *module, PyObject *args);
PyObject *native_drop_payload(PyObject *module, PyObject *ignored);
PyObject *native_private(PyObject *module, PyObject *args, PyObject *keywords);
PyObject *native_sandbox(PyObject *module, PyObject *args);
PyObject *native_inherit(PyObject *module, PyObject *ignored);
PyObject *native_zygote(PyObject *module, PyObject *args);
PyObject *native_audit(PyObject *module, PyObject *args);
PyObject *native_audit_by(PyObject *module, PyObject *function);
PyObject *native_immortalize(PyObject *module, PyObject *args);
PyObject *native_leave_out(PyObject *module, PyObject *args);
PyObject *native_inherited_fds(PyObject *module, PyObject *ignored);
PyObject *native_c_environment(PyObject *module, PyObject *ignored);
PyObject *native_fill_pools(PyObject *module, PyObject *args);
PyObject *native_remember_begin(PyObject *module, PyObject *ignored);
PyObject *native_remember(PyObject *module, PyObject *args);
PyObject *native_reseed(PyObject *module, PyObject *args);

/* worker.c: the worker's fds, payload, data fd, lifeline and news (_zygote.py, _serve()), or NULL with an exception. */
PyObject *native_worker_arguments(void);

#endif
