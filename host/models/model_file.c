/* Opens a model's file: nothing in it is believed before it has been checked. See model.h. */
#include "models/model_file.h"

#include <cvm/cvm.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Four lanes of multiply and xor: as fast as memory, and finds what a disk does. */
uint64_t model_sum(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint64_t lane[4] = {1, 2, 3, 4}, word[4] = {0};
    for (; n >= sizeof word; n -= sizeof word, p += sizeof word) {
        memcpy(word, p, sizeof word);
        for (int i = 0; i < 4; i++) {
            lane[i] = (lane[i] ^ word[i]) * 0x9E3779B97F4A7C15u;
            lane[i] ^= lane[i] >> 31;
        }
    }
    memset(word, 0, sizeof word);
    memcpy(word, p, n);
    uint64_t sum = n;
    for (int i = 0; i < 4; i++) {
        sum = (sum ^ lane[i] ^ word[i]) * 0x9E3779B97F4A7C15u;
        sum ^= sum >> 32;
    }
    return sum;
}

static bool header_sound(const struct model_header *h, uint64_t bytes)
{
    struct model_header copy = *h;
    copy.header_sum = 0;
    return memcmp(h->magic, MODEL_MAGIC, sizeof h->magic) == 0 && h->byte_order == MODEL_BYTE_ORDER &&
           h->header_sum == model_sum(&copy, sizeof copy) && h->bytes == bytes && h->id[sizeof h->id - 1] == 0 &&
           strlen(h->id) == MODEL_ID_SIZE - 1;
}

/* That each part lies where the one before ends, and the last ends with the file. */
static bool parts_fit(const struct model_header *h)
{
    if (h->n_heads == 0 || h->n_heads > EXAMPLES_HEADS || h->n_outputs == 0 || h->n_outputs > MODEL_OUTPUTS ||
        h->table_bits > 26 || h->n_rows > (UINT32_C(1) << h->table_bits) / 2 || h->stride % MODEL_LANES ||
        h->stride < h->n_outputs + 1 || h->stride > MODEL_OUTPUTS + 2 * MODEL_LANES || h->bytes > (UINT64_C(1) << 40))
        return false;
    uint64_t heads = sizeof *h + (uint64_t)h->n_outputs * sizeof(struct model_output);
    uint64_t texts = heads + (uint64_t)h->n_heads * sizeof(struct model_head_entry);
    uint64_t rows = h->table_at + sizeof(struct model_slot) * (UINT64_C(1) << h->table_bits);
    return h->heads_at == heads && h->texts_at == texts && h->table_at < h->bytes && h->table_at > texts &&
           h->table_at % 16 == 0 && h->rows_at == rows &&
           h->bytes == rows + (uint64_t)h->n_rows * h->stride * sizeof(float);
}

static bool text_fits(const struct model *m, uint32_t at)
{
    uint64_t room = m->header->table_at - m->header->texts_at;
    return at < room && memchr(m->texts + at, 0, room - at);
}

static bool labels_sound(const struct model *m)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < m->header->n_heads; i++) {
        const struct model_head_entry *head = &m->heads[i];
        if (head->first != next || head->n < 2 || head->n > m->header->n_outputs - next ||
            !isfinite(head->temperature) || head->temperature <= 0 || !text_fits(m, head->text))
            return false;
        next += head->n;
    }
    for (uint32_t i = 0; i < m->header->n_outputs; i++)
        if (!isfinite(m->outputs[i].bias) || !text_fits(m, m->outputs[i].text))
            return false;
    return next == m->header->n_outputs;
}

/* Rows that exist, and a free slot for a search to end at. */
static bool table_sound(const struct model *m)
{
    uint64_t taken = 0;
    for (uint64_t i = 0; i <= m->mask; i++) {
        if (m->table[i].row > m->header->n_rows)
            return false;
        taken += m->table[i].row != 0;
    }
    return taken == m->header->n_rows && taken <= m->mask;
}

static const char *examine(struct model *m, const void *at, uint64_t bytes, bool seen)
{
    const struct model_header *h = at;
    const char *base = at;
    if (bytes < sizeof *h || !header_sound(h, bytes))
        return "is no model, or cut off";
    if (h->trainer != MODEL_TRAINER)
        return "was written by another version of the trainer";
    if (!parts_fit(h))
        return "is damaged: its parts do not fit its size";
    m->header = h;
    m->outputs = (const void *)(base + sizeof *h);
    m->heads = (const void *)(base + h->heads_at);
    m->texts = base + h->texts_at;
    m->table = (const void *)(base + h->table_at);
    m->rows = (const void *)(base + h->rows_at);
    m->mask = (UINT32_C(1) << h->table_bits) - 1;
    if (seen)
        return NULL;
    if (h->sum != model_sum(base + sizeof *h, bytes - sizeof *h))
        return "is damaged: its checksum is another";
    if (!labels_sound(m) || !table_sound(m))
        return "is damaged: its labels or its table";
    return NULL;
}

int model_open(const char *path, size_t max_bytes, struct model **ret_model, char *ret_error, size_t error_size)
{
    return model_open_seen(path, max_bytes, false, ret_model, ret_error, error_size);
}

int model_open_seen(const char *path, size_t max_bytes, bool seen, struct model **ret_model, char *ret_error,
                    size_t error_size)
{
    struct stat st;
    void *at = MAP_FAILED;
    const char *what;
    int result = 0, fd = open(path, O_RDONLY | O_CLOEXEC);
    struct model *m = calloc(1, sizeof *m);
    if (fd < 0 || fstat(fd, &st) < 0) {
        result = fd < 0 && errno == ENOENT ? CVM_ENOENT : CVM_EIO;
        snprintf(ret_error, error_size, "%s: %s", path, strerror(errno));
        goto out;
    }
    if (!m) {
        result = CVM_ENOMEM;
        snprintf(ret_error, error_size, "%s: out of memory", path);
        goto out;
    }
    if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(struct model_header)) {
        result = CVM_EDATA;
        snprintf(ret_error, error_size, "%s is no model, or cut off; train it anew", path);
        goto out;
    }
    if ((uint64_t)st.st_size > max_bytes) {
        result = CVM_ELIMIT;
        snprintf(ret_error, error_size, "%s has %lld bytes, more than the limit of %zu", path, (long long)st.st_size,
                 max_bytes);
        goto out;
    }
    at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (at == MAP_FAILED) {
        result = CVM_EIO;
        snprintf(ret_error, error_size, "%s: %s", path, strerror(errno));
        goto out;
    }
    if ((what = examine(m, at, (uint64_t)st.st_size, seen))) {
        result = CVM_EDATA;
        snprintf(ret_error, error_size, "%s %s; train it anew", path, what);
        munmap(at, (size_t)st.st_size);
        goto out;
    }
    m->refs = 1;
    *ret_model = m;
    m = NULL;
out:
    free(m);
    if (fd >= 0)
        close(fd);
    return result;
}

struct model *model_ref(struct model *m)
{
    if (m)
        __atomic_add_fetch(&m->refs, 1, __ATOMIC_RELAXED);
    return m;
}

void model_unref(struct model *m)
{
    if (!m || __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL))
        return;
    munmap((void *)(uintptr_t)m->header, (size_t)m->header->bytes);
    free(m);
}

const char *model_id(const struct model *m)
{
    return m->header->id;
}

size_t model_examples(const struct model *m)
{
    return m->header->n_examples;
}

size_t model_bytes(const struct model *m)
{
    return (size_t)m->header->bytes;
}

size_t model_features(const struct model *m)
{
    return m->header->n_rows;
}

size_t model_heads(const struct model *m)
{
    return m->header->n_heads;
}

const char *model_head(const struct model *m, size_t head)
{
    return m->texts + m->heads[head].text;
}

double model_temperature(const struct model *m, size_t head)
{
    return (double)m->heads[head].temperature;
}

size_t model_labels(const struct model *m, size_t head)
{
    return m->heads[head].n;
}

const char *model_label(const struct model *m, size_t head, size_t label)
{
    return m->texts + m->outputs[m->heads[head].first + label].text;
}

size_t model_first(const struct model *m, size_t head)
{
    return m->heads[head].first;
}

size_t model_outputs(const struct model *m)
{
    return m->header->n_outputs;
}
