/* Keys of tables, for the modules in C: keys.py says what is wrong with one that is not plainly a table's. */
#ifndef OASTFS_STORE_KEYS_H
#define OASTFS_STORE_KEYS_H

#include <string.h>

#define KEY_TEXT_BYTES_MAX 255

/* Each module's own, from `begin_keys` on. */
static PyObject *id_column, *check_key, *shape_name;

/* `shape` holds the columns' types, which are `id_column` or another one; 0 is for keys.py to decide, too. */
static inline int
key_is_plain(PyObject *shape, PyObject *key)
{
    if (!PyTuple_CheckExact(key) || !PyTuple_CheckExact(shape) || PyTuple_GET_SIZE(key) != PyTuple_GET_SIZE(shape))
        return 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(key); i++) {
        PyObject *value = PyTuple_GET_ITEM(key, i);
        if (PyTuple_GET_ITEM(shape, i) == id_column) {
            int overflow;
            if (!PyLong_CheckExact(value) || PyLong_AsLongLongAndOverflow(value, &overflow) < 0 || overflow)
                return 0;
        } else {
            if (!PyUnicode_CheckExact(value) || !PyUnicode_IS_ASCII(value))
                return 0;
            size_t length = (size_t)PyUnicode_GET_LENGTH(value);
            if (length > KEY_TEXT_BYTES_MAX || memchr(PyUnicode_1BYTE_DATA(value), 0, length) != NULL)
                return 0;
        }
    }
    return 1;
}

/* 0 if a key is one of the table's; else what keys.py raises. */
static int
check(PyObject *table, PyObject *key)
{
    PyObject *shape = PyObject_GetAttr(table, shape_name);
    if (shape == NULL)
        return -1;
    int plain = key_is_plain(shape, key);
    Py_DECREF(shape);
    if (plain)
        return 0;
    PyObject *arguments[] = {table, key};
    PyObject *result = PyObject_Vectorcall(check_key, arguments, 2, NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* What a Python module has under a name, or an attribute of that. */
static PyObject *
import(const char *module_name, const char *name, const char *attribute)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *value = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    Py_XDECREF(module);
    if (value != NULL && attribute != NULL)
        Py_SETREF(value, PyObject_GetAttrString(value, attribute));
    return value;
}

/* Before any of the others is called; -1 with an error. */
static int
begin_keys(void)
{
    check_key = import("oastfs.store.keys", "check_key", NULL);
    id_column = import("oastfs.store.table", "Column", "ID");
    shape_name = PyUnicode_InternFromString("shape");
    return PyErr_Occurred() ? -1 : 0;
}

#endif
