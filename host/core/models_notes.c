/* What else is known of a model's examples before it is trained: the component that the manifest names reads them, a
 * few at a time, as it will read the texts that the model is asked about. Loop thread. */
#include "core/edge.h"
#include "core/models.h"

#include <cvm/json.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 24 /* examples a message: about a millisecond of the component */

static void ask_next(struct model_job *job);

static void over(struct model_job *job, const char *trouble)
{
    if (trouble) {
        log_warning("host", "model %s: %s: it is trained without notes", job->name, trouble);
        json_array_clear(job->notes);
    }
    job->asking = false;
    models_noted(job->core);
}

static void on_notes(void *arg, const struct edge_reply *reply)
{
    struct model_job *job = arg;
    const json_t *notes = json_object_get(reply->data, "notes");
    if (reply->outcome != CVM_REPLIED || json_array_size(notes) != job->asked) {
        over(job, "its component did not give one list of notes for each text");
        return;
    }
    json_array_extend(job->notes, (json_t *)(uintptr_t)notes);
    ask_next(job);
}

/* The text of the example that begins at *at, and where the next one begins; NULL: the line is blank or no example,
 * which the training will say. */
static json_t *next_text(const char **at, const char *end, bool *ret_blank)
{
    const char *begin = *at, *stop = memchr(begin, '\n', (size_t)(end - begin));
    size_t n = (size_t)((stop ? stop : end) - begin);
    *at = begin + n + 1;
    *ret_blank = strspn(begin, " \t\r\n") >= n;
    json_t *example = *ret_blank ? NULL : json_loadb(begin, n, 0, NULL);
    json_t *text = json_incref(json_object_get(example, "text"));
    json_decref(example);
    if (!*ret_blank && !json_is_string(text)) {
        json_decref(text);
        text = json_string("");
    }
    return text;
}

static json_t *next_batch(struct model_job *job)
{
    json_t *texts = json_array();
    while (texts && job->at_part < job->n_parts && json_array_size(texts) < BATCH) {
        const struct manifest *m = job->parts[job->at_part].manifest;
        const char *at = m->examples + job->at_byte, *end = m->examples + m->examples_len;
        bool blank;
        if (at >= end) {
            job->at_part++;
            job->at_byte = 0;
            continue;
        }
        json_t *text = next_text(&at, end, &blank);
        job->at_byte = (size_t)(at - m->examples);
        if (!blank)
            json_array_append_new(texts, text);
    }
    return texts;
}

static void ask_next(struct model_job *job)
{
    struct edge_error error;
    json_t *texts = atomic_load(&job->stop) ? NULL : next_batch(job);
    job->asked = json_array_size(texts);
    if (!job->asked) {
        json_decref(texts);
        over(job, NULL);
        return;
    }
    struct edge_in in = {.source = "models",
                         .to = job->noter,
                         .type = job->noter_type,
                         .priority = CVM_LOW,
                         .data = json_pack("{s:o}", "texts", texts),
                         .timeout_ms = 30000};
    if (edge_submit(job->core, &in, on_notes, job, NULL, &error) < 0)
        over(job, error.text);
}

void models_ask_notes(struct model_job *job)
{
    job->asking = true;
    job->notes = json_array();
    ask_next(job);
}
