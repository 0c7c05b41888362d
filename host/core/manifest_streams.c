/* The streams of a manifest: routes on which clients are told of publications. Loop thread. */
#include "core/manifest_parts.h"

#include <assert.h>
#include <stdlib.h>

#define METHOD "GET "

int manifest_read_streams(struct reading *r, const json_t *streams)
{
    struct field field;
    size_t n = json_array_size(streams);
    r->m->streams = calloc(n + 1, sizeof *r->m->streams);
    if (!r->m->streams)
        return CVM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const json_t *json = json_array_get(streams, i);
        struct manifest_stream *stream = &r->m->streams[i];
        const char *rest = json_string_value(json_object_get(json, "rest"));
        assert(strncmp(rest, METHOD, strlen(METHOD)) == 0); /* the schema says so */
        r->m->n_streams = i + 1;
        stream->path = rest + strlen(METHOD);
        stream->permission = json_string_value(json_object_get(json, "permission"));
        manifest_field(&field, "streams[%zu].topics", i);
        CVM_TRY(manifest_strings_make(r, json_object_get(json, "topics"), field.text, &stream->topics));
    }
    return 0;
}

void manifest_free_streams(struct manifest *m)
{
    for (size_t i = 0; i < m->n_streams; i++)
        free(m->streams[i].topics.at);
    free(m->streams);
}
