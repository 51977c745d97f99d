/* SPDX-License-Identifier: MIT */
#include "native.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* forkserver._native.Server, and what it takes to make a request. */

/* A sequence of str or bytes as a NULL-terminated list of bytes; *ret_owner keeps the strings alive. None: NULL. */
static int take_strings(PyObject *sequence, const char ***ret_list, PyObject **ret_owner) {
        *ret_list = NULL;
        *ret_owner = NULL;
        if (!sequence || sequence == Py_None)
                return 0;
        PyObject *owner = PySequence_List(sequence);
        Py_ssize_t n = owner ? PyList_Size(owner) : -1;
        const char **list = n < 0 ? NULL : calloc((size_t)n + 1, sizeof *list);

        if (n >= 0 && !list)
                PyErr_NoMemory();
        for (Py_ssize_t i = 0; list && i < n; i++) {
                PyObject *bytes;
                if (!PyUnicode_FSConverter(PyList_GetItem(owner, i), &bytes)) {
                        free(list);
                        list = NULL;
                        break;
                }
                PyList_SetItem(owner, i, bytes);
                list[i] = PyBytes_AsString(bytes);
        }
        if (!list) {
                Py_XDECREF(owner);
                return -1;
        }
        *ret_list = list;
        *ret_owner = owner;
        return 0;
}

static PyObject *server_type;

struct server {
        PyObject_HEAD
        struct fsrv_server *server;
};

static void server_dealloc(PyObject *object) {
        struct server *self = (struct server *)object;
        PyTypeObject *type = Py_TYPE(object);
        freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

        fsrv_server_free(self->server);
        release(object);
        Py_DECREF(type);
}

/* Python's signal handlers, while the library waits without the GIL; one that raised is enough. */
static int check_signals(void *data) {
        PyGILState_STATE state = PyGILState_Ensure();
        int has_raised = PyErr_Occurred() || PyErr_CheckSignals() < 0;

        (void)data;
        PyGILState_Release(state);
        return has_raised;
}

/* What a handler has raised is what the caller is told, whatever came of the call. */
static PyObject *raise_unless_raised(int r, const struct fsrv_error *error) {
        return PyErr_Occurred() ? NULL : native_raise(r, error);
}

static PyObject *wrap_server(struct fsrv_server *handle) {
        allocfunc allocate = (allocfunc)PyType_GetSlot((PyTypeObject *)server_type, Py_tp_alloc);
        struct server *self = (struct server *)allocate((PyTypeObject *)server_type, 0);

        if (!self) {
                fsrv_server_free(handle);
                return NULL;
        }
        self->server = handle;
        fsrv_server_set_interrupt(handle, check_signals, NULL);
        return (PyObject *)self;
}

PyObject *native_private(PyObject *module, PyObject *args, PyObject *keywords) {
        static char *names[] = { "argv",    "data",    "preload", "policy",  "threads", "standbys",
                                 "timeout", "helpers", "memory",  "sandbox", NULL };
        struct fsrv_server_options options = { .size = sizeof options,
                                               .flags = FSRV_SERVER_PRELOAD_OUTPUT | FSRV_SERVER_IN_TREE };
        PyObject *argv, *preload, *sandbox = NULL, *argv_owner = NULL, *preload_owner = NULL, *result = NULL;
        const char **argv_list = NULL, **preload_list = NULL, *data, *helpers = NULL;
        Py_ssize_t size;
        struct fsrv_error error = { 0 };
        struct fsrv_server *handle;

        (void)module;
        if (!PyArg_ParseTupleAndKeywords(args, keywords, "Oy#O|IIIizIO:private", names, &argv, &data, &size, &preload,
                                         &options.preload_policy, &options.thread_policy, &options.standbys,
                                         &options.preload_timeout_ms, &helpers, &options.memory, &sandbox))
                return NULL;
        options.sandbox = native_sandbox_of(sandbox);
        if (PyErr_Occurred())
                return NULL;
        if (take_strings(argv, &argv_list, &argv_owner) == 0 &&
            take_strings(preload, &preload_list, &preload_owner) == 0) {
                options.preload = (const char *const *)preload_list;
                options.zygote_argv = (const char *const *)argv_list;
                options.zygote_data = data;
                options.zygote_data_size = (size_t)size;
                options.helper_directory = helpers;
                int r = fsrv_server_new(&options, &handle, &error);
                result = r < 0 ? native_raise(r, &error) : wrap_server(handle);
        }
        free(argv_list);
        free(preload_list);
        Py_XDECREF(argv_owner);
        Py_XDECREF(preload_owner);
        return result;
}

PyObject *native_inherit(PyObject *module, PyObject *ignored) {
        struct fsrv_error error = { 0 };
        struct fsrv_server *handle;
        int r = fsrv_server_inherit(&handle, &error);

        (void)module;
        (void)ignored;
        return r < 0 ? native_raise(r, &error) : wrap_server(handle);
}

static PyObject *server_ensure_running(PyObject *object, PyObject *ignored) {
        struct fsrv_error error = { 0 };
        int r;

        (void)ignored;
        Py_BEGIN_ALLOW_THREADS
        r = fsrv_server_ensure_running(((struct server *)object)->server, &error);
        Py_END_ALLOW_THREADS
        if (r < 0 || PyErr_Occurred())
                return raise_unless_raised(r, &error);
        Py_RETURN_NONE;
}

static PyObject *server_stop(PyObject *object, PyObject *args) {
        struct fsrv_error error = { 0 };
        double timeout = -1;
        int r;

        if (!PyArg_ParseTuple(args, "|d:stop", &timeout))
                return NULL;
        Py_BEGIN_ALLOW_THREADS
        r = fsrv_server_stop(((struct server *)object)->server, timeout < 0 ? -1 : (int)(timeout * 1000), &error);
        Py_END_ALLOW_THREADS
        if (r < 0 || PyErr_Occurred())
                return raise_unless_raised(r, &error);
        Py_RETURN_NONE;
}

static PyObject *server_reload(PyObject *object, PyObject *args) {
        struct fsrv_error error = { 0 };
        double timeout = -1;
        int r;

        if (!PyArg_ParseTuple(args, "|d:reload", &timeout))
                return NULL;
        Py_BEGIN_ALLOW_THREADS
        r = fsrv_server_reload(((struct server *)object)->server, timeout < 0 ? -1 : (int)(timeout * 1000), &error);
        Py_END_ALLOW_THREADS
        if (r < 0 || PyErr_Occurred())
                return raise_unless_raised(r, &error);
        Py_RETURN_NONE;
}

static PyObject *server_end(PyObject *object, PyObject *args) {
        double timeout;
        int r;

        if (!PyArg_ParseTuple(args, "d:end", &timeout))
                return NULL;
        Py_BEGIN_ALLOW_THREADS
        r = fsrv_server_end(((struct server *)object)->server, (int)(timeout * 1000));
        Py_END_ALLOW_THREADS
        return PyBool_FromLong(r == 0);
}

static PyObject *server_stats(PyObject *object, PyObject *ignored) {
        struct fsrv_stats stats = { .size = sizeof stats };
        struct fsrv_error error = { 0 };
        int r;

        (void)ignored;
        Py_BEGIN_ALLOW_THREADS
        r = fsrv_server_get_stats(((struct server *)object)->server, &stats, &error);
        Py_END_ALLOW_THREADS
        if (r < 0 || PyErr_Occurred())
                return raise_unless_raised(r, &error);
        return Py_BuildValue(
                "{s:i,s:i,s:K,s:K,s:K,s:K,s:K,s:K,s:I,s:I,s:O,s:K,s:K,s:K,s:s,s:s}", "server_pid", stats.server_pid,
                "zygote_pid", stats.zygote_pid, "uptime_ms", (unsigned long long)stats.uptime_ms, "spawns",
                (unsigned long long)stats.spawns, "exits", (unsigned long long)stats.exits, "zygote_starts",
                (unsigned long long)stats.zygote_starts, "zygote_restarts", (unsigned long long)stats.zygote_restarts,
                "malformed", (unsigned long long)stats.malformed, "workers", stats.workers, "standbys", stats.standbys,
                "trying", stats.trying ? Py_True : Py_False, "memory_frozen", (unsigned long long)stats.memory_frozen,
                "memory_collapsed", (unsigned long long)stats.memory_collapsed, "memory_left",
                (unsigned long long)stats.memory_left, "memory_why", stats.memory_why, "left_out", stats.left_out);
}

/* (kind, number, path or other number, flags, mode): as fsrv_request_add_…() */
static int add_actions(struct fsrv_request *request, PyObject *actions) {
        Py_ssize_t n = PySequence_Size(actions);

        for (Py_ssize_t i = 0; i < n; i++) {
                PyObject *action = PySequence_GetItem(actions, i);
                int from, to, r = -EINVAL;

                if (action && PyArg_ParseTuple(action, "ii", &from, &to))
                        r = from < 0 ? fsrv_request_add_close(request, to) : fsrv_request_add_dup2(request, from, to);
                Py_XDECREF(action);
                if (PyErr_Occurred())
                        return -1;
                if (r < 0) {
                        native_raise_plain(r, "an fd of the process");
                        return -1;
                }
        }
        return n < 0 ? -1 : 0;
}

static int add_fds(struct fsrv_request *request, PyObject *fds) {
        Py_ssize_t n = PySequence_Size(fds);

        for (Py_ssize_t i = 0; i < n; i++) {
                PyObject *item = PySequence_GetItem(fds, i);
                long fd = item ? PyLong_AsLong(item) : -1;
                Py_XDECREF(item);
                if (fd == -1 && PyErr_Occurred())
                        return -1;
                int r = fsrv_request_add_fd(request, (int)fd);
                if (r < 0) {
                        native_raise_plain(r, "an fd for the process");
                        return -1;
                }
        }
        return n < 0 ? -1 : 0;
}

struct spawn {
        const char *entry, *program, *cwd, *payload;
        Py_ssize_t payload_size;
        PyObject *argv, *environment, *fds, *actions, *owner, *keeper, *attributes;
        double timeout, time_limit, grace;
        int flags, session;
};

static int set(int r, const char *what) {
        if (r < 0)
                native_raise_plain(r, what);
        return r;
}

static int fill_request(struct fsrv_request *request, const struct spawn *spawn) {
        const char **argv = NULL, **environment = NULL;
        PyObject *argv_owner = NULL, *environment_owner = NULL;
        int r = -1;

        if (take_strings(spawn->argv, &argv, &argv_owner) == 0 &&
            take_strings(spawn->environment, &environment, &environment_owner) == 0 &&
            set(spawn->entry ? fsrv_request_set_entry(request, spawn->entry)
                             : fsrv_request_set_program(request, spawn->program),
                "what to run") == 0 &&
            (!argv || set(fsrv_request_set_argv(request, (const char *const *)argv), "the arguments") == 0) &&
            (!environment ||
             set(fsrv_request_set_environment(request, (const char *const *)environment), "the environment") == 0) &&
            set(fsrv_request_set_directory(request, spawn->cwd), "the working directory") == 0 &&
            set(fsrv_request_set_payload(request, spawn->payload, (size_t)spawn->payload_size), "the payload") == 0 &&
            set(fsrv_request_set_flags(request, (uint32_t)spawn->flags), "the flags") == 0 &&
            (!spawn->session || set(fsrv_request_set_session(request), "the session") == 0)) {
                fsrv_request_set_spawn_timeout(request, spawn->timeout < 0 ? -1 : (int)(spawn->timeout * 1000));
                fsrv_request_set_time_limit(request, (uint64_t)(spawn->time_limit * 1000),
                                            (uint64_t)(spawn->grace * 1000));
                r = add_fds(request, spawn->fds);
                if (r == 0 && spawn->actions)
                        r = add_actions(request, spawn->actions);
                if (r == 0)
                        r = native_set_attributes(request, spawn->attributes);
        }
        free(argv);
        free(environment);
        Py_XDECREF(argv_owner);
        Py_XDECREF(environment_owner);
        return r;
}

static PyObject *spawn_request(struct fsrv_server *server, const struct fsrv_request *request,
                               const struct native_owner *owner) {
        struct fsrv_process *process;
        struct fsrv_error error = { 0 };
        int r;

        Py_BEGIN_ALLOW_THREADS
        r = fsrv_spawn(server, request, &process, &error);
        Py_END_ALLOW_THREADS
        if (r < 0)
                return raise_unless_raised(r, &error);
        if (PyErr_Occurred()) { /* it has started in that very moment */
                fsrv_process_kill(process, SIGKILL);
                fsrv_process_unref(process);
                return NULL;
        }
        return native_process_new(process, owner);
}

static PyObject *server_spawn(PyObject *object, PyObject *args, PyObject *keywords) {
        static char *names[] = { "fds",     "payload", "entry",   "program",    "argv",  "env",
                                 "cwd",     "actions", "timeout", "time_limit", "grace", "flags",
                                 "session", "owner",   "keeper",  "attributes", NULL };
        struct spawn spawn = { .timeout = 120 };
        struct native_owner owner = { 0 };
        struct fsrv_request *request;
        PyObject *result = NULL;

        if (!PyArg_ParseTupleAndKeywords(args, keywords, "Oy#|zzOOzOdddipOOO:spawn", names, &spawn.fds, &spawn.payload,
                                         &spawn.payload_size, &spawn.entry, &spawn.program, &spawn.argv,
                                         &spawn.environment, &spawn.cwd, &spawn.actions, &spawn.timeout,
                                         &spawn.time_limit, &spawn.grace, &spawn.flags, &spawn.session, &spawn.owner,
                                         &spawn.keeper, &spawn.attributes))
                return NULL;
        if (spawn.owner && spawn.owner != Py_None) {
                owner = (struct native_owner){ PyWeakref_NewRef(spawn.owner, NULL), spawn.keeper };
                if (!owner.owner)
                        return NULL;
        }
        if (fsrv_request_new(&request) < 0) {
                Py_XDECREF(owner.owner);
                return PyErr_NoMemory();
        }
        if (fill_request(request, &spawn) == 0)
                result = spawn_request(((struct server *)object)->server, request, &owner);
        fsrv_request_free(request);
        Py_XDECREF(owner.owner);
        return result;
}

static PyObject *server_connect_new(PyObject *object, PyObject *args) {
        const char *entry;
        PyObject *list;
        struct fsrv_error error = { 0 };
        int status_r, data_w, r, *fds;

        if (!PyArg_ParseTuple(args, "sO:connect_to_new_process", &entry, &list))
                return NULL;
        Py_ssize_t n = PySequence_Size(list);
        fds = n < 0 ? NULL : calloc((size_t)n + 1, sizeof *fds);
        for (Py_ssize_t i = 0; fds && i < n; i++) {
                PyObject *item = PySequence_GetItem(list, i);
                fds[i] = item ? (int)PyLong_AsLong(item) : -1;
                Py_XDECREF(item);
        }
        if (!fds || PyErr_Occurred()) {
                free(fds);
                return PyErr_Occurred() ? NULL : PyErr_NoMemory();
        }
        Py_BEGIN_ALLOW_THREADS
        r = fsrv_server_connect_to_new_process(((struct server *)object)->server, entry, fds, (size_t)n, &status_r,
                                               &data_w, &error);
        Py_END_ALLOW_THREADS
        free(fds);
        if (r < 0)
                return raise_unless_raised(r, &error);
        if (PyErr_Occurred()) { /* its process finds no data, and ends */
                close(status_r);
                close(data_w);
                return NULL;
        }
        return Py_BuildValue("(ii)", status_r, data_w);
}

static PyMethodDef server_methods[] = {
        { "ensure_running", server_ensure_running, METH_NOARGS, "Starts the server if it doesn't run." },
        { "reload", server_reload, METH_VARARGS, "reload(timeout=-1): waits until a new zygote has taken over." },
        { "stop", server_stop, METH_VARARGS, "stop(timeout=-1): waits until its last worker has ended." },
        { "end", server_end, METH_VARARGS, "end(timeout): lets go of the server -> whether it has ended." },
        { "stats", server_stats, METH_NOARGS, "What the server counted." },
        { "spawn", (PyCFunction)(void (*)(void))server_spawn, METH_VARARGS | METH_KEYWORDS, "A new process." },
        { "connect_to_new_process", server_connect_new, METH_VARARGS, "(entry, fds) -> (status_r, data_w)" },
        { NULL, NULL, 0, NULL },
};

static PyType_Slot server_slots[] = {
        { Py_tp_dealloc, (void *)server_dealloc },
        { Py_tp_methods, server_methods },
        { 0, NULL },
};
static PyType_Spec server_spec = { "forkserver._native.Server", sizeof(struct server), 0, Py_TPFLAGS_DEFAULT,
                                   server_slots };

PyObject *native_server_type(void) {
        return server_type = PyType_FromSpec(&server_spec);
}
