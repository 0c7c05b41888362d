/* See faults.h. */
#include "faults.h"

bool faults_begin(struct faults *f, const char *file)
{
    *f = (struct faults){.file = file, .list = json_array()};
    return f->list != NULL;
}

void faults_end(struct faults *f)
{
    json_decref(f->list);
    f->list = NULL;
}

void faults_note(struct faults *f, int64_t line, const char *text)
{
    const char *colon = strstr(text, ": ");
    if (json_array_size(f->list) >= FAULTS_KEPT)
        return;
    json_t *one =
        json_pack("{s:s, s:I, s:s}", "file", f->file, "line", (json_int_t)line, "message", colon ? colon + 2 : text);
    if (one && colon)
        json_object_set_new(one, "field", json_stringn(text, (size_t)(colon - text)));
    json_array_append_new(f->list, one);
}

void faults_row(struct faults *f, int64_t line, const char *text)
{
    f->skipped++;
    faults_note(f, line, text);
}
