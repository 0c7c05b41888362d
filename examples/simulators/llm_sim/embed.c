/* Embeddings: words hashed into a vector of length 1, so that texts that share words are near each other. */
#include "llm_sim.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIMENSIONS 384
#define DIMENSIONS_MAX 4096
#define INPUTS_MAX 2048

static uint32_t hash(const char *text, size_t n)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint32_t)tolower((unsigned char)text[i])) * 16777619u;
    return h;
}

static size_t embed(const char *text, float *vector, size_t dimensions)
{
    double sum = 0;
    size_t words = 0;
    memset(vector, 0, dimensions * sizeof *vector);
    for (const char *s = text; *s;) {
        size_t n = strcspn(s, " \t\r\n.,;:!?\"'()");
        uint32_t h = hash(s, n);
        if (n) {
            vector[h % dimensions] += h & 0x80000000u ? -1.0f : 1.0f;
            words++;
        }
        s += n ? n : 1;
    }
    for (size_t i = 0; i < dimensions; i++)
        sum += (double)vector[i] * (double)vector[i];
    for (size_t i = 0; sum > 0 && i < dimensions; i++)
        vector[i] = (float)((double)vector[i] / sqrt(sum));
    return words;
}

static json_t *base64(const float *vector, size_t n)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = (const unsigned char *)vector;
    size_t len = n * sizeof *vector, at = 0;
    char *text = malloc((len + 2) / 3 * 4 + 1);
    if (!text)
        abort();
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)bytes[i] << 16 | (i + 1 < len ? (uint32_t)bytes[i + 1] << 8 : 0) |
                     (i + 2 < len ? bytes[i + 2] : 0);
        text[at++] = letters[v >> 18];
        text[at++] = letters[v >> 12 & 63];
        text[at++] = i + 1 < len ? letters[v >> 6 & 63] : '=';
        text[at++] = i + 2 < len ? letters[v & 63] : '=';
    }
    json_t *value = json_stringn(text, at);
    free(text);
    return value;
}

bool embed_answer(struct conn *c, const json_t *body)
{
    const json_t *input = json_object_get(body, "input"), *asked = json_object_get(body, "dimensions");
    const char *model = json_string_value(json_object_get(body, "model"));
    const char *format = json_string_value(json_object_get(body, "encoding_format"));
    size_t dimensions = json_is_integer(asked) ? (size_t)json_integer_value(asked) : DIMENSIONS, tokens = 0;
    size_t n = json_is_string(input) ? 1 : json_array_size(input);
    static _Thread_local float vector[DIMENSIONS_MAX];
    if (!model || !n || n > INPUTS_MAX || dimensions < 1 || dimensions > DIMENSIONS_MAX)
        return conn_answer(c, 400, "", error_body("invalid_request_error", "invalid_value", "model or input"));
    json_t *data = json_array();
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_is_string(input) ? input : json_array_get(input, i));
        json_t *list = NULL;
        tokens += embed(text ? text : "", vector, dimensions);
        if (format && !strcmp(format, "base64"))
            list = base64(vector, dimensions);
        for (size_t d = 0; !(format && !strcmp(format, "base64")) && d < dimensions; d++) {
            list = list ? list : json_array();
            json_array_append_new(list, json_real((double)vector[d]));
        }
        json_array_insert_new(data, 0, /* the order says nothing: clients must go by the index */
                              json_pack("{s:s, s:i, s:o}", "object", "embedding", "index", (int)i, "embedding", list));
    }
    return conn_answer(c, 200, "",
                       json_pack("{s:s, s:o, s:s, s:{s:i, s:i}}", "object", "list", "data", data, "model", model,
                                 "usage", "prompt_tokens", (int)tokens, "total_tokens", (int)tokens));
}
