/* CRC32C of each chunk of a buffer: what checksum.py does in Python, at the speed of memory.
 *
 * The processor's own instruction takes three cycles for eight bytes, but can begin another one each cycle: so
 * four chunks, which do not depend on each other, are done side by side. Processors without the instruction are
 * refused at import, and Python serves, as it does where there was no C compiler. Tests compare both.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define CHECKSUM_BYTES 4
#define LANES 4
/* Shorter buffers take less time than to let go of the interpreter's lock and to get it back. */
#define UNLOCKED_BYTES_MIN (32 * 1024)

#if defined(__x86_64__)
#include <nmmintrin.h>
#define HARDWARE __attribute__((target("sse4.2")))
#define STEP_8(crc, word) _mm_crc32_u64(crc, word)
#define STEP_1(crc, byte) _mm_crc32_u8((uint32_t)(crc), byte)

static int
is_supported(void)
{
    return __builtin_cpu_supports("sse4.2");
}

#elif defined(__aarch64__) && defined(__linux__)
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#define HARDWARE __attribute__((target("+crc")))
#define STEP_8(crc, word) __crc32cd((uint32_t)(crc), word)
#define STEP_1(crc, byte) __crc32cb((uint32_t)(crc), byte)

static int
is_supported(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}

#else
#error "no instruction for CRC32C is known of this processor"
#endif

static inline uint64_t
word_at(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline void
put_checksum(uint8_t *out, uint64_t crc)
{
    uint32_t value = ~(uint32_t)crc;
    out[0] = (uint8_t)(value >> 24);
    out[1] = (uint8_t)(value >> 16);
    out[2] = (uint8_t)(value >> 8);
    out[3] = (uint8_t)value;
}

HARDWARE static void
put_one(const uint8_t *data, size_t size, uint8_t *out)
{
    uint64_t crc = UINT32_MAX;
    size_t at = 0;
    for (; at + 8 <= size; at += 8)
        crc = STEP_8(crc, word_at(data + at));
    for (; at < size; at++)
        crc = STEP_1(crc, data[at]);
    put_checksum(out, crc);
}

/* LANES chunks of the same size, a multiple of eight, that follow each other. */
HARDWARE static void
put_lanes(const uint8_t *data, size_t chunk, uint8_t *out)
{
    uint64_t a = UINT32_MAX, b = UINT32_MAX, c = UINT32_MAX, d = UINT32_MAX;
    const uint8_t *second = data + chunk, *third = second + chunk, *fourth = third + chunk;
    for (size_t at = 0; at < chunk; at += 8) {
        a = STEP_8(a, word_at(data + at));
        b = STEP_8(b, word_at(second + at));
        c = STEP_8(c, word_at(third + at));
        d = STEP_8(d, word_at(fourth + at));
    }
    put_checksum(out, a);
    put_checksum(out + CHECKSUM_BYTES, b);
    put_checksum(out + 2 * CHECKSUM_BYTES, c);
    put_checksum(out + 3 * CHECKSUM_BYTES, d);
}

static void
put_all(const uint8_t *data, size_t size, size_t chunk, uint8_t *out)
{
    if (chunk % 8 == 0) {
        for (; size / LANES >= chunk; size -= LANES * chunk) {
            put_lanes(data, chunk, out);
            data += LANES * chunk;
            out += LANES * CHECKSUM_BYTES;
        }
    }
    for (; size >= chunk; size -= chunk) {
        put_one(data, chunk, out);
        data += chunk;
        out += CHECKSUM_BYTES;
    }
    if (size)
        put_one(data, size, out);
}

/* crc32c_chunks(bytes_per_checksum, data) -> bytes: big-endian, one for each chunk, the last of which may be short. */
static PyObject *
crc32c_chunks(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer data;
    Py_ssize_t chunk;
    if (!PyArg_ParseTuple(args, "ny*", &chunk, &data))
        return NULL;
    PyObject *found = NULL;
    if (chunk <= 0) {
        PyErr_SetString(PyExc_ValueError, "a chunk has at least one byte");
        goto done;
    }
    Py_ssize_t count = data.len / chunk + (data.len % chunk != 0);
    if (count > PY_SSIZE_T_MAX / CHECKSUM_BYTES) {
        PyErr_NoMemory();
        goto done;
    }
    found = PyBytes_FromStringAndSize(NULL, count * CHECKSUM_BYTES);
    if (found == NULL)
        goto done;
    uint8_t *out = (uint8_t *)PyBytes_AS_STRING(found);
    if (data.len < UNLOCKED_BYTES_MIN) {
        put_all(data.buf, (size_t)data.len, (size_t)chunk, out);
    } else {
        Py_BEGIN_ALLOW_THREADS
        put_all(data.buf, (size_t)data.len, (size_t)chunk, out);
        Py_END_ALLOW_THREADS
    }
done:
    PyBuffer_Release(&data);
    return found;
}

PyDoc_STRVAR(crc32c_chunks_doc, "The CRC32C of each chunk of a buffer, big-endian, one after another.");

static int
check_processor(PyObject *Py_UNUSED(module))
{
    if (is_supported())
        return 0;
    PyErr_SetString(PyExc_ImportError, "this processor has no instruction for CRC32C");
    return -1;
}

static PyMethodDef methods[] = {
    {"crc32c_chunks", crc32c_chunks, METH_VARARGS, crc32c_chunks_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)check_processor}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "oastfs.wire.transfer._checksums",
    .m_doc = "CRC32C of chunks by the processor's instruction.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__checksums(void)
{
    return PyModuleDef_Init(&definition);
}
