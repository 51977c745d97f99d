/* SPDX-License-Identifier: MIT */
#include "native.h"

#include <forkserver-host.h>

static PyObject *error_type;

PyObject *native_raise(int r, const struct fsrv_error *error) {
        PyObject *value = PyObject_CallFunction(error_type, "iss", -r, error->text, fsrv_stage_name(error->stage));

        if (value) {
                PyErr_SetObject((PyObject *)Py_TYPE(value), value);
                Py_DECREF(value);
        }
        return NULL;
}

PyObject *native_raise_plain(int r, const char *what) {
        PyObject *arguments = Py_BuildValue("(is)", -r, what);

        if (arguments) {
                PyErr_SetObject(PyExc_OSError, arguments);
                Py_DECREF(arguments);
        }
        return NULL;
}

static PyMethodDef functions[] = {
        { "private", (PyCFunction)(void (*)(void))native_private, METH_VARARGS | METH_KEYWORDS,
          "A handle on a new server." },
        { "sandbox", native_sandbox, METH_VARARGS,
          "sandbox(profile, additions) -> a sealed one, and its rules: (what, state, by, why)" },
        { "inherit", native_inherit, METH_NOARGS, "In a worker: a handle on the server that it came from." },
        { "zygote", native_zygote, METH_VARARGS,
          "zygote(preload, loaded, rehearse, serve): this process, which a server started, serves." },
        { "audit", native_audit, METH_VARARGS, "An audit hook." },
        { "audit_by", native_audit_by, METH_O, "What that calls, or None." },
        { "immortalize", native_immortalize, METH_VARARGS, "See immortal.c." },
        { "leave_out", native_leave_out, METH_VARARGS,
          "leave_out(why): the end of a process that loads the main module for all children; else nothing." },
        { "has_reader", native_has_reader, METH_VARARGS, "has_reader(fd): whether anybody reads this pipe." },
        { "drop_payload", native_drop_payload, METH_NOARGS,
          "In a worker: the request's payload isn't needed any more, and its memoryview is not to be used." },
        { "result_buffer", native_result_buffer, METH_VARARGS,
          "In a worker: result_buffer(n) -> n bytes to write the result to." },
        { "inherited_fds", native_inherited_fds, METH_NOARGS, "The request's fds; None: this process is no worker." },
        { "fill_pools", native_fill_pools, METH_VARARGS,
          "fill_pools(size of a pool): what is allocated next lies side by side -> whether it does" },
        { "remember_begin", native_remember_begin, METH_NOARGS,
          "What the zygote begins with: its environment and what it does at signals." },
        { "remember", native_remember, METH_VARARGS,
          "remember(environment has changed, line_buffered): what `news` of the zygote's children are measured by." },
        { "reseed", native_reseed, METH_VARARGS, "reseed(address): random numbers into numpy's MT19937 there" },
        { "c_environment", native_c_environment, METH_NOARGS,
          "The process's environment as it is in C: a list of bytes." },
        { NULL, NULL, 0, NULL },
};

static struct PyModuleDef definition = {
        PyModuleDef_HEAD_INIT, "forkserver._native", "libforkserver for Python", -1, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void);
PyMODINIT_FUNC PyInit__native(void) {
        PyObject *module = PyModule_Create(&definition);
        PyObject *errors = PyImport_ImportModule("forkserver._error");

        error_type = errors ? PyObject_GetAttrString(errors, "Error") : NULL;
        Py_XDECREF(errors);
        PyObject *server_type = native_server_type(), *process_type = native_process_type(),
                 *result_type = native_result_type();
        if (!module || !error_type || !server_type || !process_type || !result_type) {
                Py_XDECREF(module);
                return NULL;
        }
        Py_INCREF(server_type);
        Py_INCREF(result_type);
        Py_INCREF(process_type);
        if (PyModule_AddObject(module, "Result", result_type) < 0 ||
            PyModule_AddObject(module, "Server", server_type) < 0 ||
            PyModule_AddObject(module, "Process", process_type) < 0 ||
            PyModule_AddIntConstant(module, "KILL_ON_CLOSE", FSRV_SPAWN_KILL_ON_CLOSE) < 0 ||
            PyModule_AddIntConstant(module, "RESULT", FSRV_SPAWN_RESULT) < 0 ||
            PyModule_AddIntConstant(module, "DATA_FD", FSRV_ZYGOTE_DATA_FD) < 0 ||
            PyModule_AddStringConstant(module, "version", fsrv_version()) < 0) {
                Py_DECREF(module);
                return NULL;
        }
        return module;
}
