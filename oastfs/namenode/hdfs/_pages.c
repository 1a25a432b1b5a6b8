/* Encoded HdfsFileStatusProto: one status, or a page of a listing from rows as the embedded store keeps them; and
 * where the one block of a small file is.
 *
 * ``encode_status`` and ``encode_small_file`` put fields together as status.py and small_files.py do in Python;
 * ``encode_page`` does what pages.py does, for the entries that are most of what there is: regular files and
 * directories without ACLs, hard links or storage policies of their own. All others are handed back to Python
 * one by one. Tests compare both on random rows; without a C compiler OastFS is installed without this.
 *
 * A row is (key, value): the key ends in the entry's name, and the value is a MessagePack array that begins with
 * the fields of store/schema.py's Inode, in their order. Rows are read with every bound checked: what does not
 * look like a row is another one that Python is asked about, and Python says what is wrong with it.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

/* --- growing bytes ------------------------------------------------------------------------------------- */

typedef struct {
    uint8_t *data;
    size_t used, room;
} Buffer;

/* Room for `more` bytes behind those that are used; NULL with MemoryError set. */
static uint8_t *
reserve(Buffer *buffer, size_t more)
{
    if (more > buffer->room - buffer->used) {
        if (more > (size_t)PY_SSIZE_T_MAX - buffer->used) {
            PyErr_NoMemory();
            return NULL;
        }
        size_t needed = buffer->used + more;
        size_t room = needed < (size_t)PY_SSIZE_T_MAX / 2 ? needed * 2 : needed;
        uint8_t *data = PyMem_Realloc(buffer->data, room);
        if (data == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        buffer->data = data;
        buffer->room = room;
    }
    return buffer->data + buffer->used;
}

/* --- protocol buffers ---------------------------------------------------------------------------------- */

#define VARINT_BYTES_MAX 10

static size_t
varint_bytes(uint64_t value)
{
    size_t count = 1;
    while (value >= 0x80) {
        value >>= 7;
        count++;
    }
    return count;
}

static uint8_t *
put_varint(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *
put_bytes(uint8_t *at, const void *bytes, size_t count)
{
    memcpy(at, bytes, count);
    return at + count;
}

/* --- MessagePack --------------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *at, *end;
} Reader;

/* The next `count` <= 8 bytes as a number, big-endian. False if there are not so many. */
static int
read_big_endian(Reader *reader, size_t count, uint64_t *value)
{
    if ((size_t)(reader->end - reader->at) < count)
        return 0;
    uint64_t number = 0;
    for (size_t i = 0; i < count; i++)
        number = number << 8 | reader->at[i];
    reader->at += count;
    *value = number;
    return 1;
}

/* An integer. False if there is something else, or it does not fit. */
static int
read_integer(Reader *reader, int64_t *value)
{
    uint64_t number;
    if (reader->at == reader->end)
        return 0;
    uint8_t first = *reader->at++;
    if (first < 0x80) {
        *value = first;
        return 1;
    }
    if (first >= 0xe0) {
        *value = (int64_t)first - 0x100;
        return 1;
    }
    if (first >= 0xcc && first <= 0xcf) {
        if (!read_big_endian(reader, (size_t)1 << (first - 0xcc), &number) || number > INT64_MAX)
            return 0;
        *value = (int64_t)number;
        return 1;
    }
    if (first >= 0xd0 && first <= 0xd3) {
        size_t count = (size_t)1 << (first - 0xd0);
        if (!read_big_endian(reader, count, &number))
            return 0;
        if (count == 8) {
            *value = number > INT64_MAX ? -(int64_t)(UINT64_MAX - number) - 1 : (int64_t)number;
            return 1;
        }
        int64_t sign = (int64_t)1 << (8 * count - 1);
        *value = ((int64_t)number ^ sign) - sign;
        return 1;
    }
    return 0;
}

/* The length of an array. False if there is something else. */
static int
read_array(Reader *reader, uint64_t *length)
{
    if (reader->at == reader->end)
        return 0;
    uint8_t first = *reader->at++;
    if ((first & 0xf0) == 0x90) {
        *length = first & 0x0f;
        return 1;
    }
    if (first == 0xdc)
        return read_big_endian(reader, 2, length);
    if (first == 0xdd)
        return read_big_endian(reader, 4, length);
    return 0;
}

/* --- rows ---------------------------------------------------------------------------------------------- */

/* The fields of Inode, in their order, as far as they are read here. */
enum { ID, MODE, UID, GID, LENGTH, ATIME, MTIME, CTIME, FLAGS, NLINK, BLOCK_SIZE, REPLICATION, FIELDS };
#define FIELDS_OF_EVERY_ROW 8

#define TYPE_MASK 0170000
#define REGULAR 0100000
#define DIRECTORY 0040000
#define PERMISSION_MASK 01777
#define NS_PER_MS 1000000

/* The attributes of a row, 0 for those that it lacks at its end. False if it is not a row. */
static int
read_attributes(const uint8_t *value, Py_ssize_t count, int64_t attributes[FIELDS])
{
    Reader reader = {value, value + count};
    uint64_t length;
    if (!read_array(&reader, &length) || length < FIELDS_OF_EVERY_ROW)
        return 0;
    for (int field = 0; field < FIELDS; field++) {
        if ((uint64_t)field >= length)
            attributes[field] = field == NLINK;
        else if (!read_integer(&reader, &attributes[field]))
            return 0;
    }
    return attributes[ID] >= 0 && attributes[LENGTH] >= 0;
}

/* --- answers of Python that are likely to be wanted again ---------------------------------------------- */

#define KEPT_MAX 16

typedef struct {
    int64_t key[3];
    PyObject *answer;
} Kept;

typedef struct {
    PyObject *function;
    int arguments;
    Kept kept[KEPT_MAX];
    int count, next, last;
} Cache;

/* The bytes that the function gives for the first `arguments` numbers of `key`; borrowed. NULL on error. */
static PyObject *
ask(Cache *cache, const int64_t key[3])
{
    Kept *kept = cache->kept;
    if (cache->count && !memcmp(kept[cache->last].key, key, sizeof kept->key))
        return kept[cache->last].answer;
    for (int i = 0; i < cache->count; i++) {
        if (!memcmp(kept[i].key, key, sizeof kept->key)) {
            cache->last = i;
            return kept[i].answer;
        }
    }
    PyObject *answer =
        cache->arguments == 3
            ? PyObject_CallFunction(cache->function, "LLL", (long long)key[0], (long long)key[1], (long long)key[2])
            : PyObject_CallFunction(cache->function, "LL", (long long)key[0], (long long)key[1]);
    if (answer == NULL)
        return NULL;
    if (!PyBytes_Check(answer)) {
        Py_DECREF(answer);
        PyErr_SetString(PyExc_TypeError, "a part of a status is bytes");
        return NULL;
    }
    int at = cache->next;
    cache->next = (at + 1) % KEPT_MAX;
    if (cache->count < KEPT_MAX) {
        cache->count++;
        kept[at].answer = NULL;
    }
    Py_XSETREF(kept[at].answer, answer);
    memcpy(kept[at].key, key, sizeof kept->key);
    cache->last = at;
    return answer;
}

static void
forget(Cache *cache)
{
    for (int i = 0; i < cache->count; i++)
        Py_CLEAR(cache->kept[i].answer);
    cache->count = 0;
}

/* --- entries ------------------------------------------------------------------------------------------- */

typedef struct {
    Buffer out;
    Py_ssize_t name_at;
    int64_t unusual;
    const char *tail;
    Py_ssize_t tail_bytes;
    PyObject *directory_mtime, *other;
    Cache owners, layouts;
} Page;

/* Field 1 of DirectoryListingProto: the tag and the length of an entry, and room for its `count` bytes. */
static uint8_t *
begin_entry(Page *page, size_t count)
{
    uint8_t *at = reserve(&page->out, 1 + VARINT_BYTES_MAX + count);
    if (at == NULL)
        return NULL;
    *at++ = 0x0a;
    return put_varint(at, count);
}

/* An entry that Python encodes. -1 on error. */
static int
encode_other(Page *page, PyObject *key, PyObject *value)
{
    PyObject *encoded = PyObject_CallFunctionObjArgs(page->other, key, value, NULL);
    if (encoded == NULL)
        return -1;
    char *bytes;
    Py_ssize_t count;
    if (PyBytes_AsStringAndSize(encoded, &bytes, &count) < 0) {
        Py_DECREF(encoded);
        return -1;
    }
    uint8_t *at = begin_entry(page, (size_t)count);
    if (at != NULL)
        page->out.used = (size_t)(put_bytes(at, bytes, (size_t)count) - page->out.data);
    Py_DECREF(encoded);
    return at == NULL ? -1 : 0;
}

/* When entries of a directory last changed; what its own row says, if there is nothing else. -1 on error. */
static int
find_directory_mtime(Page *page, const int64_t attributes[FIELDS], int64_t *mtime_ns)
{
    PyObject *found = PyObject_CallFunction(page->directory_mtime, "L", (long long)attributes[ID]);
    if (found == NULL)
        return -1;
    if (found == Py_None)
        *mtime_ns = attributes[MTIME];
    else
        *mtime_ns = PyLong_AsLongLong(found);
    Py_DECREF(found);
    return PyErr_Occurred() ? -1 : 0;
}

static uint64_t
milliseconds(int64_t ns)
{
    return ns > 0 ? (uint64_t)ns / NS_PER_MS : 0;
}

/* An entry whose attributes were read and are usual. -1 on error. */
static int
encode_usual(Page *page, const char *name, size_t name_bytes, const int64_t attributes[FIELDS])
{
    int is_file = (attributes[MODE] & TYPE_MASK) == REGULAR;
    int64_t mtime_ns = attributes[MTIME], owner_key[3], layout_key[3] = {0, 0, 0};
    if (!is_file && find_directory_mtime(page, attributes, &mtime_ns) < 0)
        return -1;
    owner_key[0] = attributes[MODE] & PERMISSION_MASK;
    owner_key[1] = attributes[UID];
    owner_key[2] = attributes[GID];
    if (is_file) {
        layout_key[0] = attributes[REPLICATION];
        layout_key[1] = attributes[BLOCK_SIZE];
    }
    else {
        layout_key[0] = layout_key[1] = -1;
    }
    PyObject *owner = ask(&page->owners, owner_key);
    PyObject *layout = owner == NULL ? NULL : ask(&page->layouts, layout_key);
    if (layout == NULL)
        return -1;
    size_t owner_bytes = (size_t)PyBytes_GET_SIZE(owner), layout_bytes = (size_t)PyBytes_GET_SIZE(layout);
    uint64_t length = is_file ? (uint64_t)attributes[LENGTH] : 0;
    uint64_t mtime = milliseconds(mtime_ns), atime = is_file ? milliseconds(attributes[ATIME]) : 0;
    uint64_t id = (uint64_t)attributes[ID];
    /* Seven tags of one byte, and the kind. */
    size_t count = 7 + varint_bytes(name_bytes) + name_bytes + varint_bytes(length) + owner_bytes
        + varint_bytes(mtime) + varint_bytes(atime) + layout_bytes + varint_bytes(id) + (size_t)page->tail_bytes;
    uint8_t *at = begin_entry(page, count);
    if (at == NULL)
        return -1;
    *at++ = 0x08;
    *at++ = is_file ? 2 : 1;
    *at++ = 0x12;
    at = put_varint(at, name_bytes);
    at = put_bytes(at, name, name_bytes);
    *at++ = 0x18;
    at = put_varint(at, length);
    at = put_bytes(at, PyBytes_AS_STRING(owner), owner_bytes);
    *at++ = 0x38;
    at = put_varint(at, mtime);
    *at++ = 0x40;
    at = put_varint(at, atime);
    at = put_bytes(at, PyBytes_AS_STRING(layout), layout_bytes);
    *at++ = 0x68;
    at = put_varint(at, id);
    at = put_bytes(at, page->tail, (size_t)page->tail_bytes);
    page->out.used = (size_t)(at - page->out.data);
    return 0;
}

/* -1 on error. */
static int
encode_row(Page *page, PyObject *row)
{
    if (!PyTuple_Check(row) || PyTuple_GET_SIZE(row) != 2 || !PyBytes_Check(PyTuple_GET_ITEM(row, 0))
        || !PyBytes_Check(PyTuple_GET_ITEM(row, 1))) {
        PyErr_SetString(PyExc_TypeError, "a row is a pair of bytes");
        return -1;
    }
    PyObject *key = PyTuple_GET_ITEM(row, 0), *value = PyTuple_GET_ITEM(row, 1);
    int64_t attributes[FIELDS];
    if (PyBytes_GET_SIZE(key) < page->name_at
        || !read_attributes((const uint8_t *)PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), attributes)
        || attributes[FLAGS] & page->unusual
        || ((attributes[MODE] & TYPE_MASK) != REGULAR && (attributes[MODE] & TYPE_MASK) != DIRECTORY))
        return encode_other(page, key, value);
    const char *name = PyBytes_AS_STRING(key) + page->name_at;
    return encode_usual(page, name, (size_t)(PyBytes_GET_SIZE(key) - page->name_at), attributes);
}

/* --- one status ---------------------------------------------------------------------------------------- */

PyDoc_STRVAR(encode_status_doc,
"encode_status(kind, name, length, owner, mtime_ns, atime_ns, link, layout, inode_id, tail)\n--\n\n"
"A HdfsFileStatusProto, as bytes; see _pages.pyi.");

static PyObject *
encode_status(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    (void)module;
    static const int texts_at[] = {1, 3, 6, 7, 9}, numbers_at[] = {0, 2, 4, 5, 8};
    const char *texts[5];
    size_t sizes[5], total = 5 + 5 * VARINT_BYTES_MAX + VARINT_BYTES_MAX;
    uint64_t numbers[5];
    if (count != 10) {
        PyErr_Format(PyExc_TypeError, "encode_status takes 10 arguments, not %zd", count);
        return NULL;
    }
    for (int i = 0; i < 5; i++) {
        char *bytes;
        Py_ssize_t size;
        if (PyBytes_AsStringAndSize(arguments[texts_at[i]], &bytes, &size) < 0)
            return NULL;
        texts[i] = bytes;
        sizes[i] = (size_t)size;
        total += sizes[i];
        long long number = PyLong_AsLongLong(arguments[numbers_at[i]]);
        if (PyErr_Occurred())
            return NULL;
        if (number < 0 && i != 2 && i != 3) {
            PyErr_SetString(PyExc_ValueError, "only times may be negative");
            return NULL;
        }
        numbers[i] = i == 2 || i == 3 ? milliseconds(number) : (uint64_t)number;
    }
    /* As long as it can become; cut when it is done. */
    PyObject *status = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(total + 6));
    if (status == NULL)
        return NULL;
    uint8_t *start = (uint8_t *)PyBytes_AS_STRING(status), *at = start;
    *at++ = 0x08;
    at = put_varint(at, numbers[0]);
    *at++ = 0x12;
    at = put_varint(at, sizes[0]);
    at = put_bytes(at, texts[0], sizes[0]);
    *at++ = 0x18;
    at = put_varint(at, numbers[1]);
    at = put_bytes(at, texts[1], sizes[1]);
    *at++ = 0x38;
    at = put_varint(at, numbers[2]);
    *at++ = 0x40;
    at = put_varint(at, numbers[3]);
    at = put_bytes(at, texts[2], sizes[2]);
    at = put_bytes(at, texts[3], sizes[3]);
    *at++ = 0x68;
    at = put_varint(at, numbers[4]);
    at = put_bytes(at, texts[4], sizes[4]);
    _PyBytes_Resize(&status, at - start);
    return status;
}

/* --- a small file's block ------------------------------------------------------------------------------ */

PyDoc_STRVAR(encode_small_file_doc,
"encode_small_file(length, block_id, before, between, rest)\n--\n\n"
"A GetBlockLocationsResponseProto, as bytes; see _pages.pyi.");

static PyObject *
encode_small_file(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    (void)module;
    if (count != 5) {
        PyErr_Format(PyExc_TypeError, "encode_small_file takes 5 arguments, not %zd", count);
        return NULL;
    }
    uint64_t length = PyLong_AsUnsignedLongLong(arguments[0]);
    if (PyErr_Occurred())
        return NULL;
    uint64_t block_id = PyLong_AsUnsignedLongLong(arguments[1]);
    if (PyErr_Occurred())
        return NULL;
    char *texts[3];
    size_t sizes[3];
    for (int i = 0; i < 3; i++) {
        Py_ssize_t size;
        if (PyBytes_AsStringAndSize(arguments[2 + i], &texts[i], &size) < 0)
            return NULL;
        sizes[i] = (size_t)size;
    }
    size_t length_bytes = varint_bytes(length);
    size_t name_bytes = sizes[0] + varint_bytes(block_id) + sizes[1] + length_bytes;
    size_t block_bytes = 1 + varint_bytes(name_bytes) + name_bytes + sizes[2];
    size_t body_bytes = 1 + length_bytes + 2 * (1 + varint_bytes(block_bytes) + block_bytes) + 4;
    PyObject *answer = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(1 + varint_bytes(body_bytes) + body_bytes));
    if (answer == NULL)
        return NULL;
    uint8_t *at = (uint8_t *)PyBytes_AS_STRING(answer);
    *at++ = 0x0a;
    at = put_varint(at, body_bytes);
    *at++ = 0x08; /* fileLength */
    at = put_varint(at, length);
    *at++ = 0x12; /* blocks */
    at = put_varint(at, block_bytes);
    const uint8_t *block = at;
    *at++ = 0x0a;
    at = put_varint(at, name_bytes);
    at = put_bytes(at, texts[0], sizes[0]);
    at = put_varint(at, block_id);
    at = put_bytes(at, texts[1], sizes[1]);
    at = put_varint(at, length);
    at = put_bytes(at, texts[2], sizes[2]);
    *at++ = 0x18; /* underConstruction */
    *at++ = 0;
    *at++ = 0x22; /* lastBlock */
    at = put_varint(at, block_bytes);
    at = put_bytes(at, block, block_bytes);
    *at++ = 0x28; /* isLastBlockComplete */
    *at++ = 1;
    return answer;
}

/* --- the module ---------------------------------------------------------------------------------------- */

PyDoc_STRVAR(encode_page_doc,
"encode_page(rows, name_at, unusual, tail, owner, layout, directory_mtime, other)\n--\n\n"
"Entries of a DirectoryListingProto, as bytes; see _pages.pyi.");

static PyObject *
encode_page(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    (void)module;
    if (count != 8) {
        PyErr_Format(PyExc_TypeError, "encode_page takes 8 arguments, not %zd", count);
        return NULL;
    }
    PyObject *rows = arguments[0], *result = NULL;
    Page page = {.directory_mtime = arguments[6], .other = arguments[7]};
    page.owners.function = arguments[4];
    page.owners.arguments = 3;
    page.layouts.function = arguments[5];
    page.layouts.arguments = 2;
    page.name_at = PyLong_AsSsize_t(arguments[1]);
    page.unusual = PyLong_AsLongLong(arguments[2]);
    if (PyErr_Occurred())
        return NULL;
    if (!PyList_Check(rows) || page.name_at < 0) {
        PyErr_SetString(PyExc_TypeError, "rows are a list, and names begin somewhere in their keys");
        return NULL;
    }
    if (PyBytes_AsStringAndSize(arguments[3], (char **)&page.tail, &page.tail_bytes) < 0)
        return NULL;
    if (reserve(&page.out, 64) == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(rows); i++) {
        PyObject *row = PyList_GET_ITEM(rows, i);
        Py_INCREF(row); /* Python code that is asked may change the list */
        int failed = encode_row(&page, row);
        Py_DECREF(row);
        if (failed)
            goto done;
    }
    result = PyBytes_FromStringAndSize((const char *)page.out.data, (Py_ssize_t)page.out.used);
done:
    PyMem_Free(page.out.data);
    forget(&page.owners);
    forget(&page.layouts);
    return result;
}

static PyMethodDef methods[] = {
    {"encode_status", (PyCFunction)(void (*)(void))encode_status, METH_FASTCALL, encode_status_doc},
    {"encode_page", (PyCFunction)(void (*)(void))encode_page, METH_FASTCALL, encode_page_doc},
    {"encode_small_file", (PyCFunction)(void (*)(void))encode_small_file, METH_FASTCALL, encode_small_file_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "oastfs.namenode.hdfs._pages",
    .m_doc = "File statuses of HDFS, encoded.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__pages(void)
{
    return PyModuleDef_Init(&definition);
}
