/* See knowledge.h: the documents of the loaded plugins' folders. A plugin that goes takes its documents along, one that
 * comes brings them; a text that changed is a new version. One in a turn. Loop thread. */
#include "knowledge.h"

#include <stdio.h>

#define GONE_MAX 1000

static bool is_there(const json_t *texts, const char *key)
{
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const json_t *text = json_array_get(texts, i);
        char name[CVM_STATE_KEY_MAX + 1];
        snprintf(name, sizeof name, "from/%s/%s", cvm_json_str(text, "plugin", ""), cvm_json_str(text, "file", ""));
        if (strcmp(name, key) == 0)
            return true;
    }
    return false;
}

/* The id is the head's; without one the file's name. */
static void choose_id(const json_t *head, const char *file, char ret_id[DOCUMENT_ID_MAX + 1])
{
    const char *id = cvm_json_str(head, "id", "");
    if (document_is_id(id)) {
        snprintf(ret_id, DOCUMENT_ID_MAX + 1, "%s", id);
        return;
    }
    size_t n = 0;
    for (const char *c = file; *c && *c != '.' && n < DOCUMENT_ID_MAX; c++)
        ret_id[n++] = *c == ' ' || (unsigned char)*c >= 0x80 || strchr("#@/", *c) ? '-' : *c;
    ret_id[n] = '\0';
}

/* Puts one text into force. An id that another text has is not taken. */
static int take_in(cvm_turn *t, const char *key, const json_t *text, const char *hash)
{
    char id[DOCUMENT_ID_MAX + 1], doc[DOCUMENT_ID_MAX + 8];
    const char *file = cvm_json_str(text, "file", ""), *plugin = cvm_json_str(text, "plugin", ""), *body;
    const json_t *was = NULL;
    int64_t version = 0;
    json_t *head = document_head(cvm_json_str(text, "text", ""), &body);
    json_t *title = json_incref(json_object_get(head, "title"));
    choose_id(head, file, id);
    if (!title)
        title = document_title(body);
    snprintf(doc, sizeof doc, "doc/%s", id);
    int e = cvm_state_get(t, doc, &was);
    if (!e && strcmp(cvm_json_str(was, "status", ""), "active") == 0 &&
        (strcmp(cvm_json_str(was, "origin", ""), plugin) != 0 || strcmp(cvm_json_str(was, "file", ""), file) != 0)) {
        cvm_log(t, CVM_LOG_WARNING, "%s/%s has the id %s, which another document has: not taken", plugin, file, id);
        e = CVM_ENOENT;
    } else if (!e || e == CVM_ENOENT) {
        const char *domain = cvm_json_str(head, "domain", cvm_json_str(text, "domain", ""));
        struct kb_document d = {.id = id,
                                .title = json_string_value(title) ? json_string_value(title) : id,
                                .topic = cvm_json_str(head, "topic", ""),
                                .domain = domain,
                                .source = file,
                                .language = cvm_json_str(head, "language", "en"),
                                .keywords = cvm_json_str(head, "keywords", ""),
                                .origin = plugin,
                                .file = file,
                                .text = body,
                                .hash = hash};
        e = shelf_put(t, &d, &version);
        if (e == CVM_EBUSY)
            cvm_log(t, CVM_LOG_WARNING, "%s/%s: the knowledge base is full: not taken", plugin, file);
    }
    json_decref(title);
    json_decref(head);
    if (e < 0 && e != CVM_ENOENT && e != CVM_EBUSY)
        return e;
    return cvm_state_put(t, key, json_pack("{s:s, s:s}", "id", e ? "" : id, "hash", hash));
}

static int take_out_gone(cvm_turn *t, const json_t *texts, int *done)
{
    json_t *pairs = NULL;
    CVM_TRY(cvm_state_scan(t, "from/", NULL, GONE_MAX, &pairs));
    int e = CVM_OK;
    for (size_t i = 0; !e && i < json_array_size(pairs) && !*done; i++) {
        const json_t *pair = json_array_get(pairs, i), *value = json_array_get(pair, 1);
        const char *key = json_string_value(json_array_get(pair, 0)), *id = cvm_json_str(value, "id", "");
        if (is_there(texts, key))
            continue;
        (*done)++;
        e = *id ? shelf_take(t, id, "withdrawn") : CVM_OK;
        if (e == CVM_ENOENT)
            e = CVM_OK;
        if (!e)
            e = cvm_state_del(t, key);
    }
    json_decref(pairs);
    return e;
}

int sync_go_on(cvm_turn *t, const cvm_msg *m)
{
    const json_t *texts = cvm_registry(t, "knowledge");
    int done = 0;
    (void)m;
    CVM_TRY(take_out_gone(t, texts, &done));
    bool gone = done > 0;
    for (size_t i = 0; i < json_array_size(texts) && !gone && !done; i++) {
        const json_t *text = json_array_get(texts, i), *was = NULL;
        char key[CVM_STATE_KEY_MAX + 1], hash[17];
        snprintf(key, sizeof key, "from/%s/%s", cvm_json_str(text, "plugin", ""), cvm_json_str(text, "file", ""));
        shelf_hash(cvm_json_str(text, "text", ""), hash);
        int e = cvm_state_get(t, key, &was);
        if (!e && strcmp(cvm_json_str(was, "hash", ""), hash) == 0)
            continue;
        if (e < 0 && e != CVM_ENOENT)
            return e;
        done++;
        CVM_TRY(take_in(t, key, text, hash));
    }
    return done ? cvm_send(t, KB, "sync", NULL) : CVM_OK;
}

int sync_start(cvm_turn *t, const cvm_msg *m)
{
    (void)m;
    CVM_TRY(prune_arm(t));
    return cvm_send(t, KB, "sync", NULL);
}
