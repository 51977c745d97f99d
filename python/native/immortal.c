/* SPDX-License-Identifier: MIT */
#include "native.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/*
 * CPython 3.12 and later leave the reference count of an immortal object alone: a child that only looks at the object
 * copies no page for that. It is never freed either. So only objects are taken whose end nothing could wait for:
 *  - plain values, which hold nothing;
 *  - functions, classes and modules, which a program has until its end, if no weak reference to them calls back and
 *    all that is in them is plain.
 */

static struct {
        uint32_t count; /* of an immortal object, in this version */
        PyTypeObject *code, *function, *module, *cell;
        PyObject *simple;    /* a tuple of types: descriptors and the like, which hold what a class or a module holds */
        PyObject *of_import; /* the same: how a module was found, which lives as long */
        PyObject *weak_references; /* weakref.getweakrefs() */
        size_t made;
} known;

static uint32_t *count_of(PyObject *object) {
        return (uint32_t *)&object->ob_refcnt; /* its lower half, on little-endian machines */
}

static void make_immortal(PyObject *object) {
        uint32_t *count = count_of(object);

        if ((int32_t)*count < 0)
                return; /* it is */
        *count = known.count;
        known.made++;
}

/* A value that holds nothing. */
static bool is_value(PyObject *object) {
        PyTypeObject *type = Py_TYPE(object);

        return type == &PyUnicode_Type || type == &PyLong_Type || type == &PyFloat_Type || type == &PyBytes_Type ||
               type == &PyComplex_Type || type == &PyBool_Type || object == Py_None || type == known.code;
}

static bool is_plain(PyObject *object, int depth);

static int look_at_item(PyObject *object, void *depth) {
        return !is_plain(object, *(int *)depth);
}

static int traverse(PyObject *object, visitproc visit, void *data) {
        traverseproc go = (traverseproc)PyType_GetSlot(Py_TYPE(object), Py_tp_traverse);

        return go ? go(object, visit, data) : 0;
}

static bool calls_back(PyObject *object) {
        PyObject *list = PyObject_CallFunctionObjArgs(known.weak_references, object, NULL);
        Py_ssize_t n = list ? PyList_Size(list) : 0;
        bool found = !list;

        for (Py_ssize_t i = 0; i < n && !found; i++) {
                PyObject *callback = PyObject_GetAttrString(PyList_GetItem(list, i), "__callback__");
                found = callback != Py_None;
                Py_XDECREF(callback);
        }
        PyErr_Clear();
        Py_XDECREF(list);
        return found;
}

/* Whether somebody would see its end by a weak reference. (Each class has some, of its bases.) */
static bool is_watched(PyObject *object) {
        PyObject *list = PyObject_CallFunctionObjArgs(known.weak_references, object, NULL);
        bool found = !list || PyList_Size(list) > 0;

        PyErr_Clear();
        Py_XDECREF(list);
        return found;
}

static bool ends_with_a_call(PyTypeObject *type) {
        return PyType_GetSlot(type, Py_tp_finalize) || PyType_GetSlot(type, Py_tp_del);
}

/* A class's or a module's dictionary: whether something in it would be called at its end. */
static int look_at_dictionary(PyObject *object, void *data) {
        PyObject *key, *value;

        (void)data;
        if (Py_TYPE(object) != &PyDict_Type)
                return 0;
        for (Py_ssize_t at = 0; PyDict_Next(object, &at, &key, &value);)
                if (ends_with_a_call(Py_TYPE(value)))
                        return 1;
        return 0;
}

static bool has_plain_values(PyObject *dictionary, int depth) {
        PyObject *key, *value;

        for (Py_ssize_t at = 0; PyDict_Next(dictionary, &at, &key, &value);)
                if (!is_plain(value, depth))
                        return false;
        return true;
}

struct function {
        PyObject *of_module[2]; /* dictionaries */
        int depth;
};

/* Code, globals, names, defaults, closure; keyword defaults, annotations and attributes, dictionaries. */
static int look_at_part(PyObject *object, void *data) {
        struct function *function = data;

        if (object == function->of_module[0] || object == function->of_module[1])
                return 0;
        return !(Py_TYPE(object) == &PyDict_Type ? has_plain_values(object, function->depth)
                                                 : is_plain(object, function->depth));
}

static bool function_is_plain(PyObject *function, int depth) {
        struct function parts = { { PyObject_GetAttrString(function, "__globals__"),
                                    PyObject_GetAttrString(function, "__builtins__") },
                                  depth };
        bool plain = parts.of_module[0] && parts.of_module[1] && traverse(function, look_at_part, &parts) == 0;

        PyErr_Clear();
        Py_XDECREF(parts.of_module[0]);
        Py_XDECREF(parts.of_module[1]);
        return plain && !is_watched(function);
}

static bool is_of(PyObject *types, PyTypeObject *type) {
        for (Py_ssize_t i = 0; i < PyTuple_Size(types); i++)
                if (PyTuple_GetItem(types, i) == (PyObject *)type)
                        return true;
        return false;
}

/* Whether nothing could end with it that somebody would see. Depth: how many things in things are looked at. */
static bool is_plain(PyObject *object, int depth) {
        PyTypeObject *type = Py_TYPE(object);

        if ((int32_t)*count_of(object) < 0 || is_value(object))
                return true;
        if (depth == 0)
                return false;
        depth--;
        if (PyType_Check(object) || type == known.module)
                return !calls_back(object) && traverse(object, look_at_dictionary, NULL) == 0;
        if (type == known.function)
                return function_is_plain(object, depth);
        if (type == &PyTuple_Type || type == &PyFrozenSet_Type || type == known.cell)
                return traverse(object, look_at_item, &depth) == 0;
        if (is_of(known.simple, type))
                return traverse(object, look_at_part, &(struct function){ .depth = depth }) == 0;
        return is_of(known.of_import, type);
}

enum { DEPTH = 6 };

static int take_values(PyObject *object, void *data);

/* A code object is no container for the collector. */
static void take_code(PyObject *code) {
        static const char *const parts[] = { "co_consts",   "co_names",     "co_name",          "co_qualname",
                                             "co_filename", "co_linetable", "co_exceptiontable" };

        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
                PyObject *part = PyObject_GetAttrString(code, parts[i]);
                if (part) {
                        take_values(part, NULL);
                        Py_DECREF(part);
                }
        }
        PyErr_Clear();
}

/* What is plain by itself, wherever it is held. */
static int take_values(PyObject *object, void *data) {
        (void)data;
        if ((int32_t)*count_of(object) < 0)
                return 0;
        if (is_value(object)) {
                make_immortal(object);
                if (Py_TYPE(object) == known.code)
                        take_code(object);
        } else if ((Py_TYPE(object) == &PyTuple_Type || Py_TYPE(object) == &PyFrozenSet_Type) &&
                   is_plain(object, DEPTH)) {
                make_immortal(object);
                traverse(object, take_values, NULL);
        }
        return 0;
}

/* A class's or a module's dictionary lives as long. */
static int take_dictionary(PyObject *object, void *data) {
        (void)data;
        if (Py_TYPE(object) == &PyDict_Type)
                make_immortal(object);
        return 0;
}

/* A dictionary whose keys are all strings doesn't show them to the collector. */
static void take_keys(PyObject *dictionary) {
        PyObject *key, *value;

        for (Py_ssize_t at = 0; PyDict_Next(dictionary, &at, &key, &value);)
                take_values(key, NULL);
}

static void take(PyObject *object) {
        PyTypeObject *type = Py_TYPE(object);

        traverse(object, take_values, NULL);
        if (type == &PyDict_Type)
                take_keys(object);
        if (PyType_Check(object) || type == known.module) {
                if (!is_plain(object, DEPTH))
                        return;
                make_immortal(object);
                traverse(object, take_dictionary, NULL);
        } else if ((type == known.function || is_of(known.simple, type) || is_of(known.of_import, type)) &&
                   is_plain(object, DEPTH)) {
                make_immortal(object);
        }
}

/* immortalize(objects, (code, function, module, cell), simple types, types of an import, getweakrefs) -> how many */
PyObject *native_immortalize(PyObject *module, PyObject *args) {
        PyObject *objects;

        (void)module;
        if (!PyArg_ParseTuple(args, "O!(OOOO)O!O!O:immortalize", &PyList_Type, &objects, &known.code, &known.function,
                              &known.module, &known.cell, &PyTuple_Type, &known.simple, &PyTuple_Type, &known.of_import,
                              &known.weak_references))
                return NULL;
        known.count = *count_of(Py_None);
        known.made = 0;
        for (Py_ssize_t i = 0; (int32_t)known.count < 0 && i < PyList_Size(objects); i++)
                take(PyList_GetItem(objects, i));
        return PyLong_FromSize_t(known.made);
}
