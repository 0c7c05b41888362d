/* Match records, and the files that they are written to. Pure; any thread. */
#include "triggers.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void when(int64_t at_ms, char ret_text[32])
{
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    snprintf(ret_text, 32, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
             tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(at_ms % 1000));
}

json_t *match_json(const char *customer_id, const char *trigger, const struct verdict *v, int64_t at_ms, bool brief)
{
    char at[32];
    json_t *evidence = json_array();
    for (size_t i = 0; !brief && i < v->n_evidence; i++)
        json_array_append_new(evidence, json_pack("{s:s, s:s, s:s, s:s}", "source", v->evidence[i].source, "ref",
                                                  v->evidence[i].ref, "timestamp", v->evidence[i].timestamp, "excerpt",
                                                  v->evidence[i].excerpt));
    when(at_ms, at);
    return json_pack("{s:s, s:s, s:f, s:s, s:s, s:o, s:s}", "customer_id", customer_id, "trigger_type", trigger,
                     "confidence", round(v->confidence * 100) / 100, "method", "rules", "reasoning", v->reasoning,
                     "evidence", evidence, "matched_at", at);
}

void text_file_add(struct text_file *f, const char *text, size_t len)
{
    if (f->failed)
        return;
    if (f->len + len + 1 > f->room) {
        size_t room = f->room ? f->room * 2 : 4096;
        while (room < f->len + len + 1)
            room *= 2;
        char *grown = realloc(f->text, room);
        if (!grown) {
            f->failed = true;
            return;
        }
        f->text = grown;
        f->room = room;
    }
    memcpy(f->text + f->len, text, len);
    f->len += len;
    f->text[f->len] = 0;
}

void text_file_fini(struct text_file *f)
{
    free(f->text);
    memset(f, 0, sizeof *f);
}

/* RFC 4180; a line break in a cell is a space, so that a row is a line. */
static void cell(struct text_file *f, const char *text, bool last)
{
    bool quoted = strpbrk(text, ",\"\r\n") != NULL;
    if (quoted)
        text_file_add(f, "\"", 1);
    for (; *text; text++) {
        if (*text == '"')
            text_file_add(f, "\"", 1);
        text_file_add(f, *text == '\n' || *text == '\r' ? " " : text, 1);
    }
    if (quoted)
        text_file_add(f, "\"", 1);
    text_file_add(f, last ? "\n" : ",", 1);
}

void text_file_csv_head(struct text_file *f)
{
    static const char head[] = "customer_id,trigger_type,confidence,method,reasoning,evidence,matched_at\n";
    text_file_add(f, head, sizeof head - 1);
}

void text_file_csv(struct text_file *f, const json_t *match)
{
    const json_t *evidence = json_object_get(match, "evidence"), *e;
    struct text_file joined = {0};
    char confidence[16];
    size_t i;
    json_array_foreach(evidence, i, e)
    {
        const char *excerpt = cvm_json_str(e, "excerpt", "");
        text_file_add(&joined, " | ", i ? 3 : 0);
        text_file_add(&joined, excerpt, strlen(excerpt));
    }
    snprintf(confidence, sizeof confidence, "%.2f", json_number_value(json_object_get(match, "confidence")));
    cell(f, cvm_json_str(match, "customer_id", ""), false);
    cell(f, cvm_json_str(match, "trigger_type", ""), false);
    cell(f, confidence, false);
    cell(f, cvm_json_str(match, "method", ""), false);
    cell(f, cvm_json_str(match, "reasoning", ""), false);
    cell(f, joined.text ? joined.text : "", false);
    cell(f, cvm_json_str(match, "matched_at", ""), true);
    text_file_fini(&joined);
}
