/* See knowledge.h: what operators do with documents. Loop thread. */
#include "knowledge.h"

#include "../../common/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* A request that was refused is done with: its turn stands. */
static int done(int e)
{
    return e == CVM_EREFUSED ? CVM_OK : e;
}

/* Ends the request `m`, which may be of an earlier turn, before anything was changed for it. Returns CVM_EREFUSED,
 * which the handler makes CVM_OK of by done(). */
static int refuse(cvm_turn *t, const cvm_msg *m, const char *code, const char *field, const char *text)
{
    CVM_TRY(cvm_settle(t, m->id, CVM_REFUSED,
                       json_pack("{s:s, s:s*, s:s}", "code", code, "field", field, "message", text), NULL));
    return CVM_EREFUSED;
}

static int not_found(cvm_turn *t, const cvm_msg *m, const char *id)
{
    char text[160];
    snprintf(text, sizeof text, "There is no document %.*s; see: cvmhost kb list", text_cut(id, DOCUMENT_ID_MAX), id);
    return refuse(t, m, "NOT_FOUND", "document_id", text);
}

/* A member of the request, of its metadata, of the document's head, in this order. */
static const char *field(const cvm_msg *m, const json_t *head, const char *name, const char *otherwise)
{
    const char *value = cvm_json_str(m->data, name, "");
    if (!*value)
        value = cvm_json_str(json_object_get(m->data, "metadata"), name, "");
    if (!*value)
        value = cvm_json_str(head, name, "");
    return *value ? value : otherwise;
}

static int check(cvm_turn *t, const cvm_msg *m, const char *id, const char *text, const char *domain)
{
    const char *at = text;
    while (isspace((unsigned char)*at))
        at++;
    if (!*at)
        return refuse(t, m, "EMPTY", "text", "The document has no text.");
    if (strlen(text) > DOCUMENT_TEXT_MAX_BYTES)
        return refuse(t, m, "TOO_LARGE", "text", "A document has at most 128 KiB of text; split it.");
    if (*id && !document_is_id(id))
        return refuse(t, m, "INVALID_ID", "doc_id", "An id is 1 to 64 letters, digits, \".\", \"_\" and \"-\".");
    if (strspn(domain, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != strlen(domain) || strlen(domain) > 40)
        return refuse(t, m, "INVALID_DOMAIN", "domain", "A domain is a word such as AIRTIME, POWER, DATA or SUPPORT.");
    return CVM_OK;
}

static int put(cvm_turn *t, const cvm_msg *m, const char *id, const json_t *head, const char *text)
{
    char made[CVM_SHORT_ID_SIZE], hash[17], domain[48], key[DOCUMENT_ID_MAX + 8];
    int64_t version = 0;
    const json_t *was = NULL;
    snprintf(domain, sizeof domain, "%.41s", field(m, head, "domain", field(m, head, "service_domain", "SUPPORT")));
    for (char *c = domain; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    CVM_TRY(check(t, m, id, text, domain));
    if (!*id) {
        CVM_TRY(cvm_new_id(t, "kb", made));
        for (char *c = made; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        id = made;
    }
    shelf_hash(text, hash);
    snprintf(key, sizeof key, "doc/%s", id);
    json_t *title = document_title(text);
    int e = title ? cvm_state_get(t, key, &was) : CVM_ENOMEM;
    if (!e || e == CVM_ENOENT) {
        struct kb_document d = {.id = id,
                                .title = field(m, head, "title", json_string_value(title)),
                                .topic = field(m, head, "topic", ""),
                                .domain = domain,
                                .source = field(m, head, "source", id),
                                .language = field(m, head, "language", "en"),
                                .keywords = field(m, head, "keywords", ""),
                                .origin = cvm_json_str(was, "origin", OPERATOR),
                                .file = cvm_json_str(was, "file", ""),
                                .text = text,
                                .hash = hash};
        e = shelf_put(t, &d, &version);
    }
    json_decref(title);
    if (e == CVM_EBUSY) {
        char full[200];
        snprintf(full, sizeof full,
                 "The knowledge base is full (%d documents). Remove some: cvmhost kb prune, or kb remove.",
                 (int)cvm_json_int(cvm_settings(t), "max_documents", KB_DOCUMENTS_MAX));
        return refuse(t, m, "FULL", NULL, full);
    }
    if (e < 0)
        return e;
    return cvm_reply(t, m,
                     json_pack("{s:b, s:s, s:I, s:s, s:s}", "success", 1, "document_id", id, "version",
                               (json_int_t)version, "domain", domain, "agent", RESEARCH_ALIAS));
}

int manage_add(cvm_turn *t, const cvm_msg *m)
{
    const char *text;
    json_t *head = document_head(cvm_json_str(m->data, "text", ""), &text);
    const char *id = cvm_json_str(m->data, "doc_id", cvm_json_str(head, "id", ""));
    int e = head ? put(t, m, id, head, text) : CVM_ENOMEM;
    json_decref(head);
    return done(e);
}

/* What is not given stays as it is in the version in force: that one is read first. */
int manage_update(cvm_turn *t, const cvm_msg *m)
{
    const char *id = cvm_json_str(m->data, "document_id", "");
    char key[DOCUMENT_ID_MAX + 8], version[DOCUMENT_ID_MAX + 24];
    const json_t *was = NULL;
    snprintf(key, sizeof key, "doc/%.64s", id);
    int e = document_is_id(id) ? cvm_state_get(t, key, &was) : CVM_ENOENT;
    if (e == CVM_ENOENT || (!e && strcmp(cvm_json_str(was, "status", ""), "active") != 0))
        return done(not_found(t, m, id));
    CVM_TRY(e);
    snprintf(version, sizeof version, "%s@%d", id, (int)cvm_json_int(was, "version", 0));
    CVM_TRY(cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                    .table = "kb_versions",
                                    .where = json_pack("{s:s}", "version_id", version),
                                    .limit = 1,
                                    .on_behalf = m->id,
                                    .with = json_pack("{s:s, s:O}", "as", "update", "data", m->data)}));
    return CVM_PENDING;
}

static int updated(cvm_turn *t, const cvm_msg *m, const json_t *with)
{
    const json_t *row = json_array_get(json_object_get(m->data, "rows"), 0), *data = json_object_get(with, "data");
    cvm_msg as_asked = *m;
    as_asked.id = m->on_behalf;
    as_asked.data = data;
    const char *given = cvm_json_str(data, "text", ""), *text = cvm_json_str(row, "text", "");
    json_t *head = json_copy((json_t *)(uintptr_t)row), *new_head = *given ? document_head(given, &text) : NULL;
    json_object_update(head, new_head);
    int e = row && head ? put(t, &as_asked, cvm_json_str(data, "document_id", ""), head, text) : CVM_EDATA;
    json_decref(new_head);
    json_decref(head);
    return done(e);
}

int manage_remove(cvm_turn *t, const cvm_msg *m)
{
    const char *id = cvm_json_str(m->data, "document_id", "");
    int e = document_is_id(id) ? shelf_take(t, id, "removed") : CVM_ENOENT;
    if (e == CVM_ENOENT)
        return done(not_found(t, m, id));
    CVM_TRY(e);
    return cvm_reply(t, m,
                     json_pack("{s:b, s:s, s:s}", "success", 1, "document_id", id, "message",
                               "Removed; its versions stay: cvmhost kb versions"));
}

static void narrow(json_t *where, const cvm_msg *m, const char *name, const char *column)
{
    const char *value = cvm_json_str(m->data, name, "");
    char upper[48];
    size_t n = 0;
    if (!*value)
        return;
    for (; value[n] && n < sizeof upper - 1; n++)
        upper[n] = (char)toupper((unsigned char)value[n]);
    upper[n] = '\0';
    json_object_set_new(where, column, json_string(strcmp(column, "domain") == 0 ? upper : value));
}

int manage_list(cvm_turn *t, const cvm_msg *m)
{
    json_t *where = json_pack("{s:s}", "status", cvm_json_str(m->data, "status", "active"));
    narrow(where, m, "domain", "domain");
    narrow(where, m, "topic", "topic");
    narrow(where, m, "origin", "origin");
    CVM_TRY(cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                    .table = "kb_documents",
                                    .where = where,
                                    .limit = cvm_json_int(m->data, "limit", 200),
                                    .on_behalf = m->id,
                                    .with = json_pack("{s:s}", "as", "list")}));
    return CVM_PENDING;
}

int manage_versions(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(
        cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                .table = "kb_versions",
                                .where = json_pack("{s:s}", "document_id", cvm_json_str(m->data, "document_id", "")),
                                .order_by = "-version",
                                .limit = 100,
                                .on_behalf = m->id,
                                .with = json_pack("{s:s, s:O}", "as", "versions", "document_id",
                                                  json_object_get(m->data, "document_id"))}));
    return CVM_PENDING;
}

int manage_show(cvm_turn *t, const cvm_msg *m)
{
    const char *id = cvm_json_str(m->data, "document_id", "");
    char key[DOCUMENT_ID_MAX + 8], version[DOCUMENT_ID_MAX + 24];
    const json_t *was = NULL;
    snprintf(key, sizeof key, "doc/%.64s", id);
    int e = document_is_id(id) ? cvm_state_get(t, key, &was) : CVM_ENOENT;
    if (e == CVM_ENOENT)
        return done(not_found(t, m, id));
    CVM_TRY(e);
    int64_t n = cvm_json_int(m->data, "version", cvm_json_int(was, "version", 0));
    snprintf(version, sizeof version, "%s@%d", id, (int)n);
    CVM_TRY(cvm_ask(
        t, &(cvm_query){.size = sizeof(cvm_query),
                        .table = "kb_versions",
                        .where = json_pack("{s:s}", "version_id", version),
                        .limit = 1,
                        .on_behalf = m->id,
                        .with = json_pack("{s:s, s:s, s:O, s:O}", "as", "show", "document_id", id, "status",
                                          json_object_get(was, "status"), "origin", json_object_get(was, "origin"))}));
    return CVM_PENDING;
}

int manage_stats(cvm_turn *t, const cvm_msg *m)
{
    const json_t *counts = NULL;
    int e = cvm_state_get(t, "count", &counts);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    json_t *domains = cvm_json_share(json_object_get(counts, "domains"));
    return cvm_reply(t, m,
                     json_pack("{s:I, s:I, s:I, s:I, s:o, s:i, s:s, s:s, s:f, s:i, s:i}", "documents",
                               (json_int_t)cvm_json_int(counts, "documents", 0), "max_documents",
                               (json_int_t)cvm_json_int(cvm_settings(t), "max_documents", KB_DOCUMENTS_MAX), "passages",
                               (json_int_t)cvm_json_int(counts, "passages", 0), "questions",
                               (json_int_t)cvm_json_int(counts, "questions", 0), "domains",
                               domains ? domains : json_object(), "dimensions", EMBED_DIMENSION, "similarity", "cosine",
                               "embedder", cvm_json_str(cvm_settings(t), "embedder", EMBED_HASH), "relevant_from",
                               KB_RELEVANT, "passage_bytes", DOCUMENT_PASSAGE_BYTES, "overlap_bytes",
                               DOCUMENT_OVERLAP_BYTES));
}

int manage_listed(cvm_turn *t, const cvm_msg *m, const char *what)
{
    json_t *rows = json_object_get((json_t *)(uintptr_t)m->data, "rows");
    const json_t *with = json_object_get(m->data, "with");
    if (strcmp(what, "update") == 0)
        return updated(t, m, with);
    if (strcmp(what, "show") == 0) {
        json_t *row = json_copy(json_array_get(rows, 0));
        if (!row)
            return cvm_settle(t, m->on_behalf, CVM_REFUSED,
                              json_pack("{s:s, s:s, s:s}", "code", "NOT_FOUND", "field", "version", "message",
                                        "There is no such version; see: cvmhost kb versions"),
                              NULL);
        json_object_set(row, "status", json_object_get(with, "status"));
        json_object_set(row, "origin", json_object_get(with, "origin"));
        return cvm_settle(t, m->on_behalf, CVM_REPLIED, row, NULL);
    }
    if (strcmp(what, "versions") == 0) {
        json_t *list = json_array(), *row;
        size_t i;
        json_array_foreach(rows, i, row)
        {
            json_t *one = json_copy(row);
            json_object_set_new(one, "characters",
                                json_integer((json_int_t)json_string_length(json_object_get(row, "text"))));
            json_object_del(one, "text");
            json_array_append_new(list, one);
        }
        if (json_array_size(list))
            return cvm_settle(
                t, m->on_behalf, CVM_REPLIED,
                json_pack("{s:O, s:o}", "document_id", json_object_get(with, "document_id"), "versions", list), NULL);
        json_decref(list);
        return cvm_settle(t, m->on_behalf, CVM_REFUSED,
                          json_pack("{s:s, s:s, s:s}", "code", "NOT_FOUND", "field", "document_id", "message",
                                    "There is no such document; see: cvmhost kb list"),
                          NULL);
    }
    return cvm_settle(t, m->on_behalf, CVM_REPLIED,
                      json_pack("{s:O, s:O}", "documents", rows, "more", json_object_get(m->data, "more")), NULL);
}
