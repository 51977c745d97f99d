/* SPDX-License-Identifier: MIT */
#include "native.h"

#include <forkserver-host.h>

/* An audit hook stays for ever, in all children too: so it is one in C, with a callback that can be taken away. */

static PyObject *callback;

PyObject *native_audit(PyObject *module, PyObject *args) {
        (void)module;
        if (!callback)
                Py_RETURN_NONE;
        return PyObject_CallObject(callback, args);
}

PyObject *native_audit_by(PyObject *module, PyObject *function) {
        PyObject *before = callback;

        (void)module;
        callback = function == Py_None ? NULL : function;
        Py_XINCREF(callback);
        Py_XDECREF(before);
        Py_RETURN_NONE;
}

PyObject *native_leave_out(PyObject *module, PyObject *args) {
        const char *why;

        (void)module;
        if (!PyArg_ParseTuple(args, "s:leave_out", &why))
                return NULL;
        fsrv_zygote_leave_out(why);
        Py_RETURN_NONE;
}
