/* SPDX-License-Identifier: MIT */
/*
 * What the interpreter does with the program that it was started for, as far as that can't be had from Python: its own
 * reader of source files, and an exception that is printed from the program's first frame on.
 *
 * Stable ABI of CPython 3.9. Functions that compile with options are public, but no part of it: they are looked up.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03090000
#include <Python.h>

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>

/* In every version: Py_file_input, PyCF_IGNORE_COOKIE, PyCompilerFlags. */
#define FILE_INPUT    257
#define IGNORE_COOKIE 0x0800
struct compiler_flags {
        int flags, feature_version;
};

typedef PyObject *file_function(FILE *file, const char *name, int start, PyObject *globals, PyObject *locals,
                                int close_it, struct compiler_flags *flags);
typedef PyObject *compile_function(const char *source, const char *name, int start, struct compiler_flags *flags,
                                   int optimize);
typedef int any_file_function(FILE *file, const char *name, int close_it, struct compiler_flags *flags);

static compile_function *compile_string;
static file_function *run_file;
static any_file_function *run_any_file;

/* Whether -i was given or PYTHONINSPECT set. No exception is set before or after. */
static bool is_inspected(void) {
        PyObject *flags = PySys_GetObject("flags"); /* borrowed */
        PyObject *value = flags ? PyObject_GetAttrString(flags, "inspect") : NULL;
        bool inspected = value && PyObject_IsTrue(value) > 0;

        Py_XDECREF(value);
        PyErr_Clear();
        return inspected;
}

/*
 * The interpreter ends by SIGINT if the source that it ran last raised KeyboardInterrupt. What it knows to be source is
 * a file, or a string in exec(), but not code that has been compiled.
 */
static void note_interrupt(void) {
        PyObject *builtins = PyEval_GetBuiltins(); /* borrowed, and so is the next one */
        PyObject *exec = builtins ? PyDict_GetItemString(builtins, "exec") : NULL;
        PyObject *namespace = PyDict_New();

        if (exec && namespace) {
                Py_XDECREF(PyObject_CallFunction(exec, "sO", "raise KeyboardInterrupt", namespace));
        }
        Py_XDECREF(namespace);
        PyErr_Clear();
}

static PyObject *attempt(PyObject *module, PyObject *args) {
        bool inspected = is_inspected(), interrupted;
        PyObject *rest = PyTuple_GetSlice(args, 1, PyTuple_Size(args));
        PyObject *result = rest ? PyObject_Call(PyTuple_GetItem(args, 0), rest, NULL) : NULL;

        (void)module;
        Py_XDECREF(rest);
        if (result) {
                Py_DECREF(result);
                return PyLong_FromLong(0);
        }
        if (!inspected && PyErr_ExceptionMatches(PyExc_SystemExit)) {
                return NULL;
        }
        interrupted = PyErr_Occurred() == PyExc_KeyboardInterrupt; /* no class that is derived from it */
        PyErr_Print();                                             /* by sys.excepthook */
        if (interrupted) {
                note_interrupt();
        }
        return PyLong_FromLong(1);
}

static void flush(const char *name) {
        PyObject *stream = PySys_GetObject(name); /* borrowed */
        PyObject *result = stream ? PyObject_CallMethod(stream, "flush", NULL) : NULL;

        Py_XDECREF(result);
        PyErr_Clear();
}

/* The interpreter does so between the end of a script and the printing of its exception. */
static void flush_output(void) {
        PyObject *type, *value, *traceback;

        PyErr_Fetch(&type, &value, &traceback);
        flush("stderr");
        flush("stdout");
        PyErr_Restore(type, value, traceback);
}

static PyObject *source_file(PyObject *module, PyObject *args) {
        PyObject *namespace, *result;
        const char *name;
        FILE *file;
        int fd;

        (void)module;
        if (!PyArg_ParseTuple(args, "iyO", &fd, &name, &namespace)) {
                return NULL;
        }
        file = fdopen(fd, "rb");
        if (!file) {
                return PyErr_SetFromErrno(PyExc_OSError);
        }
        result = run_file(file, name, FILE_INPUT, namespace, namespace, 1, NULL);
        flush_output();
        return result;
}

static PyObject *source_string(PyObject *module, PyObject *args) {
        struct compiler_flags flags = { 0, 0 };
        PyObject *compiled, *namespace, *code, *result;
        const char *source;
        int ignore_cookie;

        (void)module;
        if (!PyArg_ParseTuple(args, "ypOO", &source, &ignore_cookie, &compiled, &namespace)) {
                return NULL;
        }
        flags.flags = ignore_cookie ? IGNORE_COOKIE : 0;
        code = compile_string(source, "<string>", FILE_INPUT, &flags, -1);
        result = code ? PyObject_CallFunctionObjArgs(compiled, code, NULL) : NULL;
        if (result) {
                Py_DECREF(result);
                result = PyEval_EvalCode(code, namespace, namespace);
        }
        Py_XDECREF(code);
        return result;
}

static PyObject *standard_input(PyObject *module, PyObject *ignored) {
        (void)module;
        (void)ignored;
        return PyLong_FromLong(run_any_file(stdin, "<stdin>", 0, NULL) != 0);
}

static PyObject *importer(PyObject *module, PyObject *path) {
        (void)module;
        return PyImport_GetImporter(path);
}

static PyMethodDef functions[] = {
        { "attempt", attempt, METH_VARARGS,
          "attempt(function, *args) -> 0, or 1 after an exception, which is printed as the interpreter prints it, "
          "without "
          "a frame of the caller's. SystemExit passes, but under -i, where the interpreter prints that too." },
        { "source_file", source_file, METH_VARARGS,
          "source_file(fd, name in bytes, namespace): runs a script, and closes the fd." },
        { "source_string", source_string, METH_VARARGS,
          "source_string(source in bytes, whether a coding cookie is ignored, compiled, namespace): runs what -c has, "
          "after compiled(its code)." },
        { "standard_input", standard_input, METH_NOARGS,
          "Runs the program on standard input in __main__, interactively where that is a terminal -> 0, or 1 where it "
          "failed, which has been printed" },
        { "importer", importer, METH_O, "importer(path): what imports from there: a directory, a zip file. Or None." },
        { NULL, NULL, 0, NULL },
};

static struct PyModuleDef definition = {
        PyModuleDef_HEAD_INIT, "forkserver._interpreter", NULL, -1, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__interpreter(void);
PyMODINIT_FUNC PyInit__interpreter(void) {
        compile_string = (compile_function *)dlsym(RTLD_DEFAULT, "Py_CompileStringExFlags");
        run_file = (file_function *)dlsym(RTLD_DEFAULT, "PyRun_FileExFlags");
        run_any_file = (any_file_function *)dlsym(RTLD_DEFAULT, "PyRun_AnyFileExFlags");
        if (!compile_string || !run_file || !run_any_file) {
                PyErr_SetString(PyExc_ImportError, "this interpreter lacks the functions that run a program");
                return NULL;
        }
        return PyModule_Create(&definition);
}
