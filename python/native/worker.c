/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "native.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

/* What a worker knows of its request. */

PyObject *native_inherited_fds(PyObject *module, PyObject *ignored) {
        const int *fds;
        size_t n;

        (void)module;
        (void)ignored;
        if (fsrv_get_inherited_fds(&fds, &n) < 0)
                Py_RETURN_NONE;
        PyObject *list = PyList_New((Py_ssize_t)n);
        for (size_t i = 0; list && i < n; i++)
                PyList_SetItem(list, (Py_ssize_t)i, PyLong_FromLong(fds[i]));
        return list;
}

PyObject *native_payload(PyObject *module, PyObject *ignored) {
        const void *bytes;
        size_t n;

        (void)module;
        (void)ignored;
        if (fsrv_worker_get_payload(&bytes, &n) < 0)
                Py_RETURN_NONE;
        return PyMemoryView_FromMemory((char *)bytes, (Py_ssize_t)n, 0x100 /* PyBUF_READ, which the limited API names from 3.11 on */);
}

static PyObject *number(int r) {
        if (r == -ENOENT)
                Py_RETURN_NONE;
        return PyLong_FromLong(r);
}

PyObject *native_lifeline(PyObject *module, PyObject *ignored) {
        (void)module;
        (void)ignored;
        return number(fsrv_worker_get_lifeline());
}

PyObject *native_data_fd(PyObject *module, PyObject *ignored) {
        (void)module;
        (void)ignored;
        return number(fsrv_worker_get_data());
}

PyObject *native_c_environment(PyObject *module, PyObject *ignored) {
        PyObject *list = PyList_New(0);

        (void)module;
        (void)ignored;
        for (char **word = environ; list && word && *word; word++) {
                PyObject *bytes = PyBytes_FromString(*word);
                if (!bytes || PyList_Append(list, bytes) < 0) {
                        Py_XDECREF(bytes);
                        Py_DECREF(list);
                        return NULL;
                }
                Py_DECREF(bytes);
        }
        return list;
}

/* As it is in the kernel; signal.getsignal() says what Python did last. */
PyObject *native_is_ignored(PyObject *module, PyObject *args) {
        struct sigaction action;
        int number;

        (void)module;
        if (!PyArg_ParseTuple(args, "i:is_ignored", &number))
                return NULL;
        if (sigaction(number, NULL, &action) < 0)
                return PyErr_SetFromErrno(PyExc_OSError);
        return PyBool_FromLong(action.sa_handler == SIG_IGN);
}
