/* SPDX-License-Identifier: MIT */
#include "native.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <forkserver-host.h>

/* The host: a zygote that is a Python interpreter. */

static PyObject *on_preload, *on_loaded, *on_rehearse, *on_standby, *on_run;

/* What a traceback says belongs to standard error; the caller gets its last line. */
static int take_exception(struct fsrv_error *error, const char *module) {
        PyObject *type, *value, *traceback, *text = NULL;

        PyErr_Fetch(&type, &value, &traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        PyObject *name = type ? PyObject_GetAttrString(type, "__name__") : NULL;
        if (name)
                text = PyUnicode_FromFormat("module '%s': %U: %S", module, name, value ? value : Py_None);
        PyObject *bytes = text ? PyUnicode_AsUTF8String(text) : NULL;
        error->err = EIO;
        error->stage = FSRV_STAGE_PRELOAD;
        snprintf(error->text, sizeof error->text, "%s", bytes ? PyBytes_AsString(bytes) : module);
        Py_XDECREF(bytes);
        Py_XDECREF(name);
        Py_XDECREF(text);
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
        PyErr_Clear();
        return -EIO;
}

static int host_preload(const char *module, struct fsrv_error *error) {
        PyObject *result = PyObject_CallFunction(on_preload, "s", module);

        if (!result)
                return take_exception(error, module);
        Py_DECREF(result);
        return 0;
}

static void call(PyObject *function) {
        PyObject *result = PyObject_CallNoArgs(function);

        if (!result)
                PyErr_Print();
        Py_XDECREF(result);
}

static void host_loaded(void) {
        call(on_loaded);
}

static void host_rehearse(void) {
        call(on_rehearse);
}

static void host_warm_up(void) {
        call(on_standby);
}

/* There is one entry point, which the worker's own code takes apart. */
static int host_find(const char *entry, struct fsrv_error *error) {
        (void)entry;
        (void)error;
        return 0;
}

static int host_run(int argc, char **argv, char **environment) {
        (void)argc;
        (void)environment;
        PyObject *result = PyObject_CallFunction(on_run, "s", argv[0]);
        long code = result ? PyLong_AsLong(result) : -1;

        if (PyErr_Occurred()) {
                PyErr_Print();
                code = 1;
        }
        _exit((int)(code & 0xff)); /* as os._exit(): what was registered before the fork is the zygote's */
}

PyObject *native_zygote(PyObject *module, PyObject *args) {
        static const struct fsrv_host host = {
                .preload = host_preload,
                .loaded = host_loaded,
                .before_fork = PyOS_BeforeFork,
                .after_fork_zygote = PyOS_AfterFork_Parent,
                .after_fork_child = PyOS_AfterFork_Child,
                .rehearse = host_rehearse,
                .warm_up = host_warm_up,
                .find = host_find,
                .run = host_run,
        };

        (void)module;
        if (!PyArg_ParseTuple(args, "OOOOO:zygote", &on_preload, &on_loaded, &on_rehearse, &on_standby, &on_run))
                return NULL;
        native_remember_handler();
        return PyLong_FromLong(fsrv_zygote_serve(&host));
}
