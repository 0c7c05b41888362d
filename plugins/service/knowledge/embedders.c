/* See knowledge.h: the holders of the role "embed". Each answers {"vectors": [base64 of 384 floats or null, ..]} for
 * {"texts": [..]}. Loop thread. */
#include "knowledge.h"

#include <stdlib.h>

int embed_hash(cvm_turn *t, const cvm_msg *m)
{
    static struct text_words words; /* of this call */
    const json_t *texts = json_object_get(m->data, "texts"), *text;
    const struct lexicon *lexicon = kb_lexicon(t);
    json_t *vectors = json_array();
    size_t i;
    char vector[EMBED_TEXT_SIZE];
    json_array_foreach((json_t *)(uintptr_t)texts, i, text)
    {
        text_read(lexicon, json_string_value(text), &words);
        json_array_append_new(vectors, embed_words(words.at, words.n, vector) ? json_string(vector) : json_null());
    }
    return cvm_reply(
        t, m, json_pack("{s:o, s:i, s:s}", "vectors", vectors, "dimensions", EMBED_DIMENSION, "model", "hash-384"));
}

/* ---- a service that speaks the OpenAI form ----------------------------------------------------------------------- */

int embed_openai(cvm_turn *t, const cvm_msg *m)
{
    const char *model = cvm_json_str(cvm_settings(t), "model", "text-embedding-3-small");
    json_t *body = json_pack("{s:s, s:O, s:i, s:s}", "model", model, "input", json_object_get(m->data, "texts"),
                             "dimensions", EMBED_DIMENSION, "encoding_format", "float");
    json_t *headers = json_pack("{s:s}", "Authorization", "Bearer ${EMBED_API_KEY}");
    int e = cvm_http_call(t,
                          &(cvm_call){.size = sizeof(cvm_call),
                                      .name = "embeddings",
                                      .headers = headers,
                                      .body = body,
                                      .on_behalf = m->id,
                                      .timeout_ms = cvm_json_int(cvm_settings(t), "timeout_ms", 2500),
                                      .deadline_ms = m->deadline_ms},
                          NULL);
    if (e == CVM_ENOENT) /* no address is set */
        return cvm_refuse(t, "NOT_CONFIGURED", NULL, "The setting base_url of provider.embed.openai is empty.");
    CVM_TRY(e);
    return CVM_PENDING;
}

/* The vector of one text; false: not of the dimension asked for. */
static bool read_vector(const json_t *numbers, char ret_text[EMBED_TEXT_SIZE])
{
    float v[EMBED_DIMENSION];
    if (json_array_size(numbers) != EMBED_DIMENSION)
        return false;
    for (size_t i = 0; i < EMBED_DIMENSION; i++)
        v[i] = (float)json_number_value(json_array_get(numbers, i));
    embed_base64(v, EMBED_DIMENSION, ret_text);
    return true;
}

int embed_openai_reply(cvm_turn *t, const cvm_msg *m)
{
    const json_t *data = json_object_get(json_object_get(m->data, "body"), "data"), *one;
    int64_t status = cvm_json_int(m->data, "status", 0);
    size_t i, n = json_array_size(data);
    json_t *vectors = json_array();
    char text[EMBED_TEXT_SIZE];
    bool good = m->outcome == CVM_REPLIED && status == 200 && n > 0;
    for (i = 0; good && i < n; i++)
        json_array_append_new(vectors, json_null());
    json_array_foreach((json_t *)(uintptr_t)data, i, one)
    {
        int64_t at = cvm_json_int(one, "index", (int64_t)i);
        good = good && at >= 0 && at < (int64_t)n && read_vector(json_object_get(one, "embedding"), text) &&
               json_array_set_new(vectors, (size_t)at, json_string(text)) == 0;
    }
    int e = good ? cvm_settle(t, m->on_behalf, CVM_REPLIED,
                              json_pack("{s:O, s:i, s:s}", "vectors", vectors, "dimensions", EMBED_DIMENSION, "model",
                                        cvm_json_str(cvm_settings(t), "model", "text-embedding-3-small")),
                              NULL)
                 : cvm_settle(t, m->on_behalf, CVM_ERROR,
                              json_pack("{s:s, s:s}", "code", "EMBEDDER", "message",
                                        "The service of vectors gave none of 384 numbers."),
                              NULL);
    json_decref(vectors);
    return e == CVM_ENOENT ? CVM_OK : e;
}
