/* Calls of Hadoop RPC from their frames, and frames of answers: what hadoop_rpc.py does in Python, for the common case.
 *
 * Each call has a header to be taken apart and one to be made, whatever it asks for. Only what is plainly a call, with
 * the fields that all clients send, is decoded here; for all else None is returned, and Python decides and says
 * what is wrong. Every bound is checked. Tests compare both on random and on damaged frames; without a C
 * compiler OastFS is installed without this.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define VERSION 9
#define PROTOCOL_BUFFER 2
#define CLIENT_ID_BYTES_MAX 16
#define VARINT_BYTES_MAX 9

typedef struct {
    const uint8_t *at, *end;
} Reader;

/* A number of at most 63 bits. False if it is longer, or cut off. */
static int
read_varint(Reader *reader, uint64_t *value)
{
    uint64_t number = 0;
    for (int i = 0; i < VARINT_BYTES_MAX && reader->at < reader->end; i++) {
        uint8_t byte = *reader->at++;
        number |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *value = number;
            return 1;
        }
    }
    return 0;
}

/* Bytes behind their length. */
static int
read_delimited(Reader *reader, Reader *body)
{
    uint64_t length;
    if (!read_varint(reader, &length) || length > (uint64_t)(reader->end - reader->at))
        return 0;
    body->at = reader->at;
    body->end = reader->at += length;
    return 1;
}

typedef struct {
    int64_t call_id, retry_count;
    Reader client_id;
} Header;

/* A signed number of 32 bits. */
static int
read_zigzag(Reader *reader, int64_t *value)
{
    uint64_t number;
    if (!read_varint(reader, &number) || number > UINT32_MAX)
        return 0;
    *value = (int64_t)(number >> 1) ^ -(int64_t)(number & 1);
    return 1;
}

/* The header of a call. False for what is none, and for what this does not know. */
static int
read_header(Reader reader, Header *header)
{
    uint64_t kind = 0, operation = 0;
    header->call_id = -1;
    header->retry_count = -1;
    header->client_id.at = NULL;
    while (reader.at < reader.end) {
        int known;
        switch (*reader.at++) {
        case 0x08:
            known = read_varint(&reader, &kind) && kind == PROTOCOL_BUFFER;
            break;
        case 0x10:
            known = read_varint(&reader, &operation) && operation == 0;
            break;
        case 0x18:
            known = read_zigzag(&reader, &header->call_id) && header->call_id >= 0;
            break;
        case 0x22:
            known = read_delimited(&reader, &header->client_id);
            break;
        case 0x28:
            known = read_zigzag(&reader, &header->retry_count);
            break;
        default:
            known = 0;
        }
        if (!known)
            return 0;
    }
    return kind == PROTOCOL_BUFFER && header->call_id >= 0 && header->client_id.at != NULL
        && header->client_id.end - header->client_id.at <= CLIENT_ID_BYTES_MAX;
}

static PyObject *
bytes_of(Reader reader)
{
    return PyBytes_FromStringAndSize((const char *)reader.at, reader.end - reader.at);
}

/* The parts of a call from its frame, which is somewhere in bytes that begin at `start`; None for all else. */
static PyObject *
parts_of(const uint8_t *start, Reader frame)
{
    Reader encoded, names;
    Header header;
    uint64_t length;
    if (!read_delimited(&frame, &encoded) || !read_header(encoded, &header) || !read_delimited(&frame, &names)
        || !read_varint(&frame, &length) || length != (uint64_t)(frame.end - frame.at))
        Py_RETURN_NONE;
    return Py_BuildValue("LNLNn", (long long)header.call_id, bytes_of(header.client_id), (long long)header.retry_count,
                         bytes_of(names), (Py_ssize_t)(frame.at - start));
}

PyDoc_STRVAR(decode_call_doc, "decode_call(frame)\n--\n\nThe parts of a call, or None; see _calls.pyi.");

static PyObject *
decode_call(PyObject *module, PyObject *frame)
{
    (void)module;
    if (!PyBytes_Check(frame)) {
        PyErr_SetString(PyExc_TypeError, "a frame is bytes");
        return NULL;
    }
    const uint8_t *start = (const uint8_t *)PyBytes_AS_STRING(frame);
    return parts_of(start, (Reader){start, start + PyBytes_GET_SIZE(frame)});
}

PyDoc_STRVAR(decode_lone_call_doc,
             "decode_lone_call(data)\n--\n\nAs decode_call, of a frame behind its length and nothing else.");

static PyObject *
decode_lone_call(PyObject *module, PyObject *data)
{
    (void)module;
    if (!PyBytes_Check(data)) {
        PyErr_SetString(PyExc_TypeError, "what was received is bytes");
        return NULL;
    }
    const uint8_t *start = (const uint8_t *)PyBytes_AS_STRING(data), *end = start + PyBytes_GET_SIZE(data);
    if (end - start < 4)
        Py_RETURN_NONE;
    uint32_t length = 0;
    for (int i = 0; i < 4; i++)
        length = length << 8 | start[i];
    if (length != end - start - 4)
        Py_RETURN_NONE;
    return parts_of(start, (Reader){start + 4, end});
}

static size_t
put_varint(uint8_t *to, uint64_t value)
{
    size_t count = 0;
    while (value >= 0x80) {
        to[count++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    to[count++] = (uint8_t)value;
    return count;
}

PyDoc_STRVAR(encode_answer_doc, "encode_answer(call_id, client_id, retry_count, body)\n--\n\nA successful answer.");

static PyObject *
encode_answer(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    (void)module;
    if (count != 4 || !PyBytes_Check(arguments[1]) || !PyBytes_Check(arguments[3])
        || PyBytes_GET_SIZE(arguments[1]) > CLIENT_ID_BYTES_MAX) {
        PyErr_SetString(PyExc_TypeError, "an answer is made of a number, a short client id, a number and bytes");
        return NULL;
    }
    int64_t call_id = PyLong_AsLongLong(arguments[0]), retry_count = PyLong_AsLongLong(arguments[2]);
    if (PyErr_Occurred())
        return NULL;
    size_t id_bytes = (size_t)PyBytes_GET_SIZE(arguments[1]), body_bytes = (size_t)PyBytes_GET_SIZE(arguments[3]);
    /* Room for: the length, a header of less than 64 bytes behind its own, the length of the body. */
    uint8_t head[4 + 1 + 64 + 10];
    uint8_t *at = head + 5;
    *at++ = 0x08;
    at += put_varint(at, (uint32_t)call_id);
    *at++ = 0x10;
    *at++ = 0;
    *at++ = 0x18;
    *at++ = VERSION;
    *at++ = 0x3a;
    *at++ = (uint8_t)id_bytes;
    memcpy(at, PyBytes_AS_STRING(arguments[1]), id_bytes);
    at += id_bytes;
    *at++ = 0x40;
    int32_t retries = (int32_t)retry_count;
    at += put_varint(at, (uint32_t)retries << 1 ^ (retries < 0 ? UINT32_MAX : 0));
    head[4] = (uint8_t)(at - head - 5);
    at += put_varint(at, body_bytes);
    size_t head_bytes = (size_t)(at - head);
    if (body_bytes > UINT32_MAX - head_bytes) {
        PyErr_SetString(PyExc_OverflowError, "an answer is shorter than 4 GiB");
        return NULL;
    }
    uint32_t total = (uint32_t)(head_bytes - 4 + body_bytes);
    for (int i = 0; i < 4; i++)
        head[i] = (uint8_t)(total >> (24 - 8 * i));
    PyObject *answer = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(head_bytes + body_bytes));
    if (answer == NULL)
        return NULL;
    memcpy(PyBytes_AS_STRING(answer), head, head_bytes);
    memcpy(PyBytes_AS_STRING(answer) + head_bytes, PyBytes_AS_STRING(arguments[3]), body_bytes);
    return answer;
}

static PyMethodDef methods[] = {
    {"decode_call", decode_call, METH_O, decode_call_doc},
    {"decode_lone_call", decode_lone_call, METH_O, decode_lone_call_doc},
    {"encode_answer", (PyCFunction)(void (*)(void))encode_answer, METH_FASTCALL, encode_answer_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "oastfs.wire._calls",
    .m_doc = "Calls of Hadoop RPC from their frames, and frames of answers.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__calls(void)
{
    return PyModuleDef_Init(&definition);
}
