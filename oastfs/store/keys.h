/* Whether a key is plainly one of its table's, for the modules in C. keys.py decides and says what is wrong. */
#ifndef OASTFS_STORE_KEYS_H
#define OASTFS_STORE_KEYS_H

#include <string.h>

#define KEY_TEXT_BYTES_MAX 255

/* `shape` holds the columns' types, which are `id_column` or another one; 0 is for keys.py to decide, too. */
static inline int
key_is_plain(PyObject *shape, PyObject *id_column, PyObject *key)
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

#endif
