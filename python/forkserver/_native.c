/* SPDX-License-Identifier: MIT */
/*
 * The extension: the library's handles as Python objects, and the Python host of a zygote. Stable ABI of CPython 3.9; only the
 * public headers of the library.
 *
 * The GIL is released around every call that can wait. A wait is made of poll(2) and a look without waiting, so that Python's
 * signal handlers run in between (PEP 475).
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03090000
#include <Python.h>
#ifdef Py_GIL_DISABLED
#error "forkserver needs an interpreter with the GIL: a free-threaded one has threads of its own at the time of a fork"
#endif

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <forkserver-host.h>
#include <forkserver.h>

static PyObject *server_type, *process_type, *error_type;

/* ---- errors ---- */

/* forkserver.Error(errno, text, stage): an OSError whose class follows the errno where there is one for it. */
static PyObject *raise_error(int r, const struct fsrv_error *error) {
        PyObject *value = PyObject_CallFunction(error_type, "iss", -r, error->text, fsrv_stage_name(error->stage));

        if (value) {
                PyErr_SetObject((PyObject *)Py_TYPE(value), value);
                Py_DECREF(value);
        }
        return NULL;
}

static PyObject *raise_plain(int r, const char *what) {
        errno = -r;
        return PyErr_Format(PyExc_OSError, "%s: %s", what, strerror(-r));
}

/* ---- lists ---- */

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

/* ---- processes ---- */

struct process {
        PyObject_HEAD
        struct fsrv_process *process;
        PyObject *returncode; /* NULL until it is known */
        struct fsrv_status status;
};

static PyObject *new_process(struct fsrv_process *handle) {
        allocfunc allocate = (allocfunc)PyType_GetSlot((PyTypeObject *)process_type, Py_tp_alloc);
        struct process *self = (struct process *)allocate((PyTypeObject *)process_type, 0);

        if (!self) {
                fsrv_process_unref(handle);
                return NULL;
        }
        self->process = handle;
        return (PyObject *)self;
}

static void process_dealloc(PyObject *object) {
        struct process *self = (struct process *)object;
        PyTypeObject *type = Py_TYPE(object);
        freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

        fsrv_process_unref(self->process);
        Py_XDECREF(self->returncode);
        release(object);
        Py_DECREF(type);
}

static PyObject *process_pid(PyObject *object, void *data) {
        (void)data;
        return PyLong_FromLong(fsrv_process_get_pid(((struct process *)object)->process));
}

static PyObject *process_pidfd(PyObject *object, void *data) {
        int fd = fsrv_process_get_pidfd(((struct process *)object)->process);

        (void)data;
        return fd < 0 ? raise_plain(fd, "the kernel has no pidfds") : PyLong_FromLong(fd);
}

static PyObject *process_returncode(PyObject *object, void *data) {
        PyObject *code = ((struct process *)object)->returncode;

        (void)data;
        if (!code)
                code = Py_None;
        Py_INCREF(code);
        return code;
}

static PyObject *process_rusage(PyObject *object, void *data) {
        const struct process *self = (struct process *)object;
        const struct rusage *use = &self->status.rusage;

        (void)data;
        if (!self->returncode || self->status.flags & FSRV_STATUS_NO_RUSAGE)
                Py_RETURN_NONE;
        return Py_BuildValue("(ddlllll)", (double)use->ru_utime.tv_sec + (double)use->ru_utime.tv_usec / 1e6,
                             (double)use->ru_stime.tv_sec + (double)use->ru_stime.tv_usec / 1e6, use->ru_maxrss, use->ru_minflt,
                             use->ru_majflt, use->ru_nvcsw, use->ru_nivcsw);
}

static PyObject *process_timed_out(PyObject *object, void *data) {
        (void)data;
        return PyBool_FromLong(((struct process *)object)->status.flags & FSRV_STATUS_TIMED_OUT);
}

static PyObject *process_fileno(PyObject *object, PyObject *ignored) {
        int fd = fsrv_process_get_poll_fd(((struct process *)object)->process);

        (void)ignored;
        return fd < 0 ? raise_plain(fd, "an fd to wait for the process with") : PyLong_FromLong(fd);
}

/* One look. 1: it has ended; 0: not yet; -1 with an exception. */
static int look(struct process *self) {
        struct fsrv_status status = { .size = sizeof status };
        struct fsrv_error error = { 0 };
        int r;

        if (self->returncode)
                return 1;
        r = fsrv_process_wait(self->process, 0, &status, &error);
        if (r == -ETIMEDOUT)
                return 0;
        if (r < 0) {
                raise_error(r, &error);
                return -1;
        }
        PyObject *code = PyLong_FromLong(status.signal ? -status.signal : status.exit_code);
        if (!code)
                return -1;
        if (self->returncode) { /* another thread was faster */
                Py_DECREF(code);
                return 1;
        }
        self->status = status;
        self->returncode = code;
        return 1;
}

static double now(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Until something may have changed: 0; -1 with an exception of a signal handler. */
static int wait_readable(int fd, double deadline) {
        struct pollfd entry = { .fd = fd, .events = POLLIN };
        double left = deadline < 0 ? -1 : deadline - now();
        int ms = deadline < 0 ? -1 : left <= 0 ? 0 : left > 1e6 ? 1000000000 : (int)(left * 1000) + 1, r;

        Py_BEGIN_ALLOW_THREADS
        r = poll(&entry, 1, ms);
        Py_END_ALLOW_THREADS
        return r < 0 ? PyErr_CheckSignals() : 0;
}

/* After the kernel said that it has ended, until its parent has told how: an instant. */
static void wait_a_moment(void) {
        Py_BEGIN_ALLOW_THREADS
        nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
        Py_END_ALLOW_THREADS
}

static PyObject *process_wait(PyObject *object, PyObject *args) {
        struct process *self = (struct process *)object;
        PyObject *timeout = Py_None;
        double deadline = -1;

        if (!PyArg_ParseTuple(args, "|O:wait", &timeout))
                return NULL;
        if (timeout != Py_None) {
                double seconds = PyFloat_AsDouble(timeout);
                if (seconds == -1.0 && PyErr_Occurred())
                        return NULL;
                deadline = now() + (seconds > 0 ? seconds : 0);
        }
        for (;;) {
                int ended = look(self), fd;
                if (ended < 0)
                        return NULL;
                if (ended)
                        return process_returncode(object, NULL);
                if (deadline >= 0 && now() >= deadline)
                        Py_RETURN_NONE;
                fd = fsrv_process_get_poll_fd(self->process);
                if (fd < 0)
                        return raise_plain(fd, "an fd to wait for the process with");
                struct pollfd entry = { .fd = fd, .events = POLLIN };
                if (poll(&entry, 1, 0) == 1)
                        wait_a_moment(); /* readable, and look() found nothing: not to spin */
                else if (wait_readable(fd, deadline) < 0)
                        return NULL;
        }
}

static PyObject *process_kill(PyObject *object, PyObject *args) {
        int number = SIGKILL, r;

        if (!PyArg_ParseTuple(args, "|i:kill", &number))
                return NULL;
        r = fsrv_process_kill(((struct process *)object)->process, number);
        if (r < 0) {
                errno = -r;
                return PyErr_SetFromErrno(PyExc_OSError);
        }
        Py_RETURN_NONE;
}

static PyMethodDef process_methods[] = {
        { "fileno", process_fileno, METH_NOARGS, "An fd for select and friends: readable when wait(0) has something to do." },
        { "wait", process_wait, METH_VARARGS,
          "wait(timeout=None) -> the exit code, minus the signal that killed it, or None after `timeout` seconds.\n"
          "Raises forkserver.Error (EOWNERDEAD) when the status was lost together with the server." },
        { "kill", process_kill, METH_VARARGS,
          "kill(signal=SIGKILL): by pidfd, never to another process. ProcessLookupError when it has ended." },
        { NULL, NULL, 0, NULL },
};

static PyGetSetDef process_members[] = {
        { "pid", process_pid, NULL, NULL, NULL },
        { "pidfd", process_pidfd, NULL, "Borrowed: valid as long as this object.", NULL },
        { "returncode", process_returncode, NULL, "What wait() found, None before.", NULL },
        { "rusage", process_rusage, NULL,
          "(utime s, stime s, maxrss KiB, minflt, majflt, nvcsw, nivcsw), None before the end or where the server died.", NULL },
        { "timed_out", process_timed_out, NULL, "Whether it was killed for its time limit.", NULL },
        { NULL, NULL, NULL, NULL, NULL },
};

static PyType_Slot process_slots[] = {
        { Py_tp_dealloc, (void *)process_dealloc },
        { Py_tp_methods, process_methods },
        { Py_tp_getset, process_members },
        { 0, NULL },
};
static PyType_Spec process_spec = { "forkserver._native.Process", sizeof(struct process), 0, Py_TPFLAGS_DEFAULT, process_slots };

/* ---- servers ---- */

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

static PyObject *wrap_server(struct fsrv_server *handle) {
        allocfunc allocate = (allocfunc)PyType_GetSlot((PyTypeObject *)server_type, Py_tp_alloc);
        struct server *self = (struct server *)allocate((PyTypeObject *)server_type, 0);

        if (!self) {
                fsrv_server_free(handle);
                return NULL;
        }
        self->server = handle;
        return (PyObject *)self;
}

static PyObject *server_private(PyObject *module, PyObject *args, PyObject *keywords) {
        static char *names[] = { "argv", "data", "preload", "policy", "threads", "standbys", "timeout", "helpers", NULL };
        struct fsrv_server_options options = { .size = sizeof options };
        PyObject *argv, *preload, *argv_owner = NULL, *preload_owner = NULL, *result = NULL;
        const char **argv_list = NULL, **preload_list = NULL, *data, *helpers = NULL;
        Py_ssize_t size;
        struct fsrv_error error = { 0 };
        struct fsrv_server *handle;

        (void)module;
        if (!PyArg_ParseTupleAndKeywords(args, keywords, "Oy#O|IIIiz:private", names, &argv, &data, &size, &preload,
                                         &options.preload_policy, &options.thread_policy, &options.standbys,
                                         &options.preload_timeout_ms, &helpers))
                return NULL;
        if (take_strings(argv, &argv_list, &argv_owner) == 0 && take_strings(preload, &preload_list, &preload_owner) == 0) {
                options.preload = (const char *const *)preload_list;
                options.zygote_argv = (const char *const *)argv_list;
                options.zygote_data = data;
                options.zygote_data_size = (size_t)size;
                options.helper_directory = helpers;
                int r = fsrv_server_new(&options, &handle, &error);
                result = r < 0 ? raise_error(r, &error) : wrap_server(handle);
        }
        free(argv_list);
        free(preload_list);
        Py_XDECREF(argv_owner);
        Py_XDECREF(preload_owner);
        return result;
}

static PyObject *server_inherit(PyObject *module, PyObject *ignored) {
        struct fsrv_error error = { 0 };
        struct fsrv_server *handle;
        int r = fsrv_server_inherit(&handle, &error);

        (void)module;
        (void)ignored;
        return r < 0 ? raise_error(r, &error) : wrap_server(handle);
}

static PyObject *server_ensure_running(PyObject *object, PyObject *ignored) {
        struct fsrv_error error = { 0 };
        int r;

        (void)ignored;
        Py_BEGIN_ALLOW_THREADS
        r = fsrv_server_ensure_running(((struct server *)object)->server, &error);
        Py_END_ALLOW_THREADS
        if (r < 0)
                return raise_error(r, &error);
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
        if (r < 0)
                return raise_error(r, &error);
        Py_RETURN_NONE;
}

static PyObject *server_stats(PyObject *object, PyObject *ignored) {
        struct fsrv_stats stats = { .size = sizeof stats };
        struct fsrv_error error = { 0 };
        int r;

        (void)ignored;
        Py_BEGIN_ALLOW_THREADS
        r = fsrv_server_get_stats(((struct server *)object)->server, &stats, &error);
        Py_END_ALLOW_THREADS
        if (r < 0)
                return raise_error(r, &error);
        return Py_BuildValue("{s:i,s:i,s:K,s:K,s:K,s:K,s:K,s:I,s:I}", "server_pid", stats.server_pid, "zygote_pid",
                             stats.zygote_pid, "uptime_ms", (unsigned long long)stats.uptime_ms, "spawns",
                             (unsigned long long)stats.spawns, "exits", (unsigned long long)stats.exits, "zygote_starts",
                             (unsigned long long)stats.zygote_starts, "zygote_restarts",
                             (unsigned long long)stats.zygote_restarts, "workers", stats.workers, "standbys", stats.standbys);
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
                        raise_plain(r, "an fd of the process");
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
                        raise_plain(r, "an fd for the process");
                        return -1;
                }
        }
        return n < 0 ? -1 : 0;
}

struct spawn {
        const char *entry, *program, *cwd, *payload;
        Py_ssize_t payload_size;
        PyObject *argv, *environment, *fds, *actions;
        double timeout, time_limit;
        int flags, session;
};

static int set(int r, const char *what) {
        if (r < 0)
                raise_plain(r, what);
        return r;
}

static int fill_request(struct fsrv_request *request, const struct spawn *spawn) {
        const char **argv = NULL, **environment = NULL;
        PyObject *argv_owner = NULL, *environment_owner = NULL;
        int r = -1;

        if (take_strings(spawn->argv, &argv, &argv_owner) == 0 &&
            take_strings(spawn->environment, &environment, &environment_owner) == 0 &&
            set(spawn->entry ? fsrv_request_set_entry(request, spawn->entry) : fsrv_request_set_program(request, spawn->program),
                "what to run") == 0 &&
            (!argv || set(fsrv_request_set_argv(request, (const char *const *)argv), "the arguments") == 0) &&
            (!environment ||
             set(fsrv_request_set_environment(request, (const char *const *)environment), "the environment") == 0) &&
            set(fsrv_request_set_directory(request, spawn->cwd), "the working directory") == 0 &&
            set(fsrv_request_set_payload(request, spawn->payload, (size_t)spawn->payload_size), "the payload") == 0 &&
            set(fsrv_request_set_flags(request, (uint32_t)spawn->flags), "the flags") == 0 &&
            (!spawn->session || set(fsrv_request_set_session(request), "the session") == 0)) {
                fsrv_request_set_spawn_timeout(request, spawn->timeout < 0 ? -1 : (int)(spawn->timeout * 1000));
                fsrv_request_set_time_limit(request, (uint64_t)(spawn->time_limit * 1000));
                r = add_fds(request, spawn->fds);
                if (r == 0 && spawn->actions)
                        r = add_actions(request, spawn->actions);
        }
        free(argv);
        free(environment);
        Py_XDECREF(argv_owner);
        Py_XDECREF(environment_owner);
        return r;
}

static PyObject *server_spawn(PyObject *object, PyObject *args, PyObject *keywords) {
        static char *names[] = { "fds", "payload", "entry", "program", "argv", "env", "cwd", "actions", "timeout", "time_limit",
                                 "flags", "session", NULL };
        struct spawn spawn = { .timeout = 120 };
        struct fsrv_process *process;
        struct fsrv_request *request;
        struct fsrv_error error = { 0 };
        int r;

        if (!PyArg_ParseTupleAndKeywords(args, keywords, "Oy#|zzOOzOddip:spawn", names, &spawn.fds, &spawn.payload,
                                         &spawn.payload_size, &spawn.entry, &spawn.program, &spawn.argv, &spawn.environment,
                                         &spawn.cwd, &spawn.actions, &spawn.timeout, &spawn.time_limit, &spawn.flags,
                                         &spawn.session))
                return NULL;
        if (fsrv_request_new(&request) < 0)
                return PyErr_NoMemory();
        if (fill_request(request, &spawn) < 0) {
                fsrv_request_free(request);
                return NULL;
        }
        Py_BEGIN_ALLOW_THREADS
        r = fsrv_spawn(((struct server *)object)->server, request, &process, &error);
        Py_END_ALLOW_THREADS
        fsrv_request_free(request);
        return r < 0 ? raise_error(r, &error) : new_process(process);
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
        r = fsrv_server_connect_to_new_process(((struct server *)object)->server, entry, fds, (size_t)n, &status_r, &data_w,
                                               &error);
        Py_END_ALLOW_THREADS
        free(fds);
        return r < 0 ? raise_error(r, &error) : Py_BuildValue("(ii)", status_r, data_w);
}

static PyMethodDef server_methods[] = {
        { "ensure_running", server_ensure_running, METH_NOARGS, "Starts the server if it doesn't run." },
        { "stop", server_stop, METH_VARARGS, "stop(timeout=-1): waits until its last worker has ended." },
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
static PyType_Spec server_spec = { "forkserver._native.Server", sizeof(struct server), 0, Py_TPFLAGS_DEFAULT, server_slots };

/* ---- the host: a zygote that is a Python interpreter ---- */

static PyObject *on_preload, *on_loaded, *on_standby, *on_run;

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

static PyObject *zygote(PyObject *module, PyObject *args) {
        static const struct fsrv_host host = {
                .preload = host_preload,
                .loaded = host_loaded,
                .before_fork = PyOS_BeforeFork,
                .after_fork_zygote = PyOS_AfterFork_Parent,
                .after_fork_child = PyOS_AfterFork_Child,
                .warm_up = host_warm_up,
                .find = host_find,
                .run = host_run,
        };

        (void)module;
        if (!PyArg_ParseTuple(args, "OOOO:zygote", &on_preload, &on_loaded, &on_standby, &on_run))
                return NULL;
        return PyLong_FromLong(fsrv_zygote_serve(&host));
}

/* ---- in a worker ---- */

static PyObject *inherited_fds(PyObject *module, PyObject *ignored) {
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

static PyObject *payload(PyObject *module, PyObject *ignored) {
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

static PyObject *lifeline(PyObject *module, PyObject *ignored) {
        (void)module;
        (void)ignored;
        return number(fsrv_worker_get_lifeline());
}

static PyObject *data_fd(PyObject *module, PyObject *ignored) {
        (void)module;
        (void)ignored;
        return number(fsrv_worker_get_data());
}

static PyObject *c_environment(PyObject *module, PyObject *ignored) {
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
static PyObject *is_ignored(PyObject *module, PyObject *args) {
        struct sigaction action;
        int number;

        (void)module;
        if (!PyArg_ParseTuple(args, "i:is_ignored", &number))
                return NULL;
        if (sigaction(number, NULL, &action) < 0)
                return PyErr_SetFromErrno(PyExc_OSError);
        return PyBool_FromLong(action.sa_handler == SIG_IGN);
}

/* ---- the module ---- */

static PyMethodDef functions[] = {
        { "private", (PyCFunction)(void (*)(void))server_private, METH_VARARGS | METH_KEYWORDS, "A handle on a new server." },
        { "inherit", server_inherit, METH_NOARGS, "In a worker: a handle on the server that it came from." },
        { "zygote", zygote, METH_VARARGS, "zygote(preload, loaded, standby, run): this process, which a server started, serves." },
        { "inherited_fds", inherited_fds, METH_NOARGS, "The request's fds; None: this process is no worker." },
        { "payload", payload, METH_NOARGS, "The request's bytes; None: this process is no worker." },
        { "lifeline", lifeline, METH_NOARGS, "An fd that reads end-of-file when the client has ended; None: no worker." },
        { "data_fd", data_fd, METH_NOARGS, "The data fd of connect_to_new_process(); None: there is none." },
        { "is_ignored", is_ignored, METH_VARARGS, "is_ignored(signal)" },
        { "c_environment", c_environment, METH_NOARGS, "The process's environment as it is in C: a list of bytes." },
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
        server_type = PyType_FromSpec(&server_spec);
        process_type = PyType_FromSpec(&process_spec);
        if (!module || !error_type || !server_type || !process_type) {
                Py_XDECREF(module);
                return NULL;
        }
        Py_INCREF(server_type);
        Py_INCREF(process_type);
        if (PyModule_AddObject(module, "Server", server_type) < 0 || PyModule_AddObject(module, "Process", process_type) < 0 ||
            PyModule_AddIntConstant(module, "KILL_ON_CLOSE", FSRV_SPAWN_KILL_ON_CLOSE) < 0 ||
            PyModule_AddIntConstant(module, "DATA_FD", FSRV_ZYGOTE_DATA_FD) < 0 ||
            PyModule_AddStringConstant(module, "version", fsrv_version()) < 0) {
                Py_DECREF(module);
                return NULL;
        }
        return module;
}
