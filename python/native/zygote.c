/* SPDX-License-Identifier: MIT */
#include "native.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <forkserver-host.h>

/* The host: a zygote that is a Python interpreter. */

enum {
        /* pymalloc, Objects/obmalloc.c of CPython 3.9 to 3.13 with 64 bits */
        LARGEST_BLOCK = 512,
        BLOCK_STEP = 16,
        POOL_HEADER = 48,
        FILL_MAX = 1 << 20, /* of one size: some 300 KiB are free in all after pandas' import */
};

static PyObject *on_preload, *on_loaded, *on_rehearse, *on_serve;
static PyObject *on_standby; /* what on_loaded returned; NULL: nothing */

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

/* A sentence: it is there, but each process is to load it by itself. */
static int take_reason(struct fsrv_error *error, PyObject *reason) {
        PyObject *bytes = PyUnicode_AsUTF8String(reason);

        snprintf(error->text, sizeof error->text, "%s", bytes ? PyBytes_AsString(bytes) : "");
        Py_XDECREF(bytes);
        PyErr_Clear();
        return -EBUSY;
}

static int host_preload(const char *module, struct fsrv_error *error) {
        PyObject *result = PyObject_CallFunction(on_preload, "s", module);
        int r = 0;

        if (!result)
                return take_exception(error, module);
        if (result != Py_None)
                r = take_reason(error, result);
        Py_DECREF(result);
        return r;
}

static bool host_is_tried(const char *module) {
        return strcmp(module, FSRV_PRELOAD_MAIN) == 0;
}

static PyObject *call(PyObject *function) {
        PyObject *result = PyObject_CallNoArgs(function);

        if (!result)
                PyErr_Print();
        return result;
}

static void host_loaded(void) {
        on_standby = call(on_loaded);
        if (on_standby == Py_None)
                Py_CLEAR(on_standby);
}

static void host_warm_up(void) {
        PyObject *result = on_standby ? call(on_standby) : NULL;

        Py_XDECREF(result);
}

static void host_rehearse(void) {
        host_warm_up();
        PyObject *result = call(on_rehearse);
        Py_XDECREF(result);
}

/* There is one entry point, which the worker's own code takes apart. */
static int host_find(const char *entry, struct fsrv_error *error) {
        (void)entry;
        (void)error;
        return 0;
}

static int host_run(int argc, char **argv, char **environment) {
        (void)argc;
        (void)argv;
        (void)environment;
        PyObject *arguments = native_worker_arguments();
        PyObject *result = arguments ? PyObject_CallObject(on_serve, arguments) : NULL;
        long code = result ? PyLong_AsLong(result) : -1;

        if (PyErr_Occurred()) {
                PyErr_Print();
                code = 1;
        }
        fsrv_worker_send_result((int)(code & 0xff));
        _exit((int)(code & 0xff)); /* as os._exit(): what was registered before the fork is the zygote's */
}

/* Takes what is free in pools of blocks of one size that are partly in use, until a new pool is begun: its first three
 * blocks, one behind the other. */
static bool fill_pools_of(size_t size, uintptr_t pool) {
        uintptr_t before[2] = { 0 };

        for (size_t taken = 0; taken < FILL_MAX; taken += size) {
                uintptr_t at = (uintptr_t)PyObject_Malloc(size);
                if (before[1] % pool == POOL_HEADER && before[0] == before[1] + size && at == before[0] + size)
                        return true;
                before[1] = before[0];
                before[0] = at;
        }
        return false;
}

/* fill_pools(size of a pool): so that what children allocate lies side by side, in new pools, instead of in the holes
 * of old ones. The holes cost nothing: their pages are in use anyway. */
PyObject *native_fill_pools(PyObject *module, PyObject *args) {
        unsigned long pool;

        (void)module;
        if (!PyArg_ParseTuple(args, "k:fill_pools", &pool))
                return NULL;
        for (size_t size = LARGEST_BLOCK; size > 0; size -= BLOCK_STEP)
                if (!fill_pools_of(size, pool))
                        Py_RETURN_FALSE; /* another allocator, or checks around its blocks */
        Py_RETURN_TRUE;
}

PyObject *native_zygote(PyObject *module, PyObject *args) {
        static const struct fsrv_host host = {
                .preload = host_preload,
                .is_tried = host_is_tried,
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
        if (!PyArg_ParseTuple(args, "OOOO:zygote", &on_preload, &on_loaded, &on_rehearse, &on_serve))
                return NULL;
        return PyLong_FromLong(fsrv_zygote_serve(&host));
}
