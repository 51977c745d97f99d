/* SPDX-License-Identifier: MIT */
#include "native.h"

#include <errno.h>
#include <string.h>

/* A sealed sandbox, as a capsule. */

static const char NAME[] = "forkserver._native.sandbox";

static void free_sandbox(PyObject *capsule) {
        fsrv_sandbox_unref(PyCapsule_GetPointer(capsule, NAME));
}

struct fsrv_sandbox *native_sandbox_of(PyObject *object) {
        return object && object != Py_None ? PyCapsule_GetPointer(object, NAME) : NULL;
}

/* ---- what is added to the profile: (name, arguments...) each, as _sandbox.py makes them ---- */

static int add_one(struct fsrv_sandbox *sandbox, const char *name, PyObject *arguments) {
        const char *text, *other;
        unsigned long long value;
        Py_ssize_t size;
        int number;

        if (strcmp(name, "path") == 0)
                return PyArg_ParseTuple(arguments, "yi", &text, &number)
                               ? fsrv_sandbox_add_path(sandbox, text, (uint32_t)number)
                               : -EINVAL;
        if (strcmp(name, "port") == 0)
                return PyArg_ParseTuple(arguments, "Ki", &value, &number)
                               ? fsrv_sandbox_add_port(sandbox, (uint16_t)value, (uint32_t)number)
                               : -EINVAL;
        if (strcmp(name, "mount") == 0)
                return PyArg_ParseTuple(arguments, "iyy", &number, &text, &other)
                               ? fsrv_sandbox_add_mount(sandbox, (enum fsrv_mount)number, *text ? text : NULL, other)
                               : -EINVAL;
        if (strcmp(name, "limit") == 0)
                return PyArg_ParseTuple(arguments, "iK", &number, &value) ? fsrv_sandbox_limit(sandbox, number, value)
                                                                          : -EINVAL;
        if (strcmp(name, "filter") == 0)
                return PyArg_ParseTuple(arguments, "y#", &text, &size)
                               ? fsrv_sandbox_set_filter(sandbox, text, (size_t)size)
                               : -EINVAL;
        if (!PyArg_ParseTuple(arguments, "i", &number))
                return -EINVAL;
        if (strcmp(name, "refuse") == 0)
                return fsrv_sandbox_refuse(sandbox, (uint32_t)number);
        if (strcmp(name, "allow") == 0)
                return fsrv_sandbox_allow(sandbox, (uint32_t)number);
        if (strcmp(name, "unshare") == 0)
                return fsrv_sandbox_unshare(sandbox, number);
        return fsrv_sandbox_set_flags(sandbox, (uint32_t)number);
}

static int add_all(struct fsrv_sandbox *sandbox, PyObject *additions) {
        Py_ssize_t n = PySequence_Size(additions);

        for (Py_ssize_t i = 0; i < n; i++) {
                PyObject *addition = PySequence_GetItem(additions, i), *arguments;
                const char *name;
                int r = -EINVAL;

                if (addition && PyArg_ParseTuple(addition, "sO", &name, &arguments))
                        r = add_one(sandbox, name, arguments);
                if (r < 0 && !PyErr_Occurred())
                        native_raise_plain(r, name);
                Py_XDECREF(addition);
                if (r < 0)
                        return -1;
        }
        return n < 0 ? -1 : 0;
}

/* ---- sealing ---- */

static void report_rule(const struct fsrv_sandbox_rule *rule, void *data) {
        PyObject *item = Py_BuildValue("(sIss)", rule->what, rule->state, rule->by, rule->why);

        if (item)
                PyList_Append(data, item);
        Py_XDECREF(item);
}

PyObject *native_sandbox(PyObject *module, PyObject *args) {
        struct fsrv_error error = { 0 };
        struct fsrv_sandbox *sandbox;
        PyObject *additions, *rules = NULL, *capsule = NULL;
        const char *profile;

        (void)module;
        if (!PyArg_ParseTuple(args, "sO:sandbox", &profile, &additions))
                return NULL;
        int r = fsrv_sandbox_new(profile, &sandbox, &error);
        if (r < 0)
                return native_raise(r, &error);
        if (add_all(sandbox, additions) == 0 && (rules = PyList_New(0))) {
                r = fsrv_sandbox_seal(sandbox, report_rule, rules, &error);
                if (r < 0)
                        native_raise(r, &error);
                else if (!PyErr_Occurred())
                        capsule = PyCapsule_New(sandbox, NAME, free_sandbox);
        }
        if (!capsule) {
                fsrv_sandbox_unref(sandbox);
                Py_XDECREF(rules);
                return NULL;
        }
        return Py_BuildValue("(NN)", capsule, rules);
}
