/* The function table a handler sees, and its smaller entries. */
#include "core/audit.h"
#include "core/internal.h"

#include "core/broken.h"

#include "core/regex.h"
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define SECRET_SHOWN_BYTES 100 /* of a name that a plugin made up */

static struct turn *of(cvm_turn *t)
{
    return (struct turn *)t;
}

static int turn_note_reply(cvm_turn *pub, int outcome, json_t *data, const char *content)
{
    struct turn *t = of(pub);
    (void)content;
    if (!json_is_object(data)) {
        json_decref(data);
        return CVM_EINVAL;
    }
    json_decref(t->refusal);
    t->refusal = data;
    t->refusal_outcome = outcome;
    return CVM_EREFUSED;
}

static int turn_refuse(cvm_turn *pub, const char *code, const char *field, const char *text)
{
    return turn_note_reply(pub, CVM_REFUSED,
                           json_pack("{s:s, s:s?, s:s}", "code", code, "field", field, "message", text), NULL);
}

static int turn_note(cvm_turn *pub, const char *what, json_t *data)
{
    struct turn *t = of(pub);
    if (!t->conversation || turn_count(t, json_text_size(data, CVM_TURN_BYTES_MAX)) < 0) {
        json_decref(data);
        return t->conversation ? CVM_ELIMIT : CVM_OK; /* an ephemeral turn leaves no record */
    }
    if (strcmp(what, CVM_NOTE_METRIC) == 0)
        return metric_note(t, data);
    if (!t->notes)
        t->notes = json_array();
    json_array_append_new(t->notes, json_pack("[s, o]", what, data ? data : json_null()));
    return CVM_OK;
}

static int turn_end(cvm_turn *pub)
{
    if (!of(pub)->conversation)
        return CVM_ESTATE;
    of(pub)->ended = true;
    return CVM_OK;
}

static int64_t turn_now(cvm_turn *pub)
{
    return of(pub)->core->now_ms;
}

static uint64_t turn_random(cvm_turn *pub)
{
    struct turn *t = of(pub);
    if (!t->random_seeded) {
        t->random = id_seed(t->message ? t->message->pub.id : (cvm_id){1, 1}, t->component->salt);
        if (BROKEN(loose_random))
            t->random = (uint64_t)clock_ns();
        t->random_seeded = true;
    }
    return id_random(&t->random);
}

static const json_t *turn_settings(cvm_turn *pub)
{
    return of(pub)->component->now->settings;
}

static const json_t *turn_registry(cvm_turn *pub, const char *what)
{
    struct core *core = of(pub)->core;
    if (strcmp(what, "domains") == 0)
        return core->registry->domains;
    if (strcmp(what, "components") == 0)
        return core->registry->components;
    if (strcmp(what, "knowledge") == 0)
        return core->registry->knowledge;
    if (strcmp(what, "pages") == 0)
        return core->registry->pages;
    if (strcmp(what, "workflows") == 0)
        return core->registry->workflows;
    if (strcmp(what, "roles") == 0)
        return config_get(core->options.config, "roles");
    return NULL;
}

static int turn_secret(cvm_turn *pub, const char *name, const char **ret_value)
{
    struct turn *t = of(pub);
    const struct generation *g = t->component->now->generation;
    for (size_t i = 0; g && i < g->manifest->secrets.n; i++) {
        if (strcmp(g->manifest->secrets.at[i], name) != 0)
            continue;
        const char *value = config_secret(t->core->options.config, name);
        if (t->core->replay)
            replay_secret(t->core, name);
        if (!value)
            return CVM_ENOENT;
        *ret_value = value;
        return CVM_OK;
    }
    if (BROKEN(any_secret) && (*ret_value = config_secret(t->core->options.config, name)))
        return CVM_OK;
    t->core->total.secrets_refused++;
    if (!t->denied)
        t->denied = json_array();
    json_array_append_new(t->denied, json_pack("[s, s]", "secret", name));
    log_warning(t->component->id->text, "asked for the secret %.100s, which its manifest does not name: refused", name);
    audit_event_limited(t->core, "secret.refused",
                        json_pack("{s:s, s:o*}", "component", t->component->id->text, "secret",
                                  json_stringn(name, strnlen(name, SECRET_SHOWN_BYTES))));
    return CVM_EACCES;
}

static int turn_match(cvm_turn *pub, const char *pattern, const char *text, size_t offset, cvm_span *spans, size_t n)
{
    return regexes_match(&of(pub)->core->regexes, pattern, text, offset, spans, n);
}

/* Kept for the next one, by digest: to look an algorithm up takes longer than the sum. NULL: it cannot be had. */
static EVP_MAC_CTX *mac_of(bool sha512)
{
    static EVP_MAC_CTX *kept[2];
    if (kept[sha512])
        return kept[sha512];
    char name[] = "SHA256", longer[] = "SHA512";
    OSSL_PARAM digest[] = {OSSL_PARAM_construct_utf8_string("digest", sha512 ? longer : name, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *made = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    EVP_MAC_free(hmac);
    if (made && EVP_MAC_CTX_set_params(made, digest))
        return kept[sha512] = made;
    EVP_MAC_CTX_free(made);
    return NULL;
}

/* Any of the digests; `size` is what the plugin has room for. */
static int turn_mac(cvm_turn *pub, int digest, const void *key, size_t key_len, const void *data, size_t len,
                    uint8_t *ret_mac, size_t size)
{
    size_t n = digest == CVM_SHA512 ? 64 : 32;
    (void)pub;
    if ((digest != CVM_SHA256 && digest != CVM_SHA512) || size < n || key_len > INT_MAX)
        return CVM_EINVAL;
    EVP_MAC_CTX *mac = mac_of(digest == CVM_SHA512);
    bool good = mac && EVP_MAC_init(mac, key ? key : (const void *)"", key_len, NULL) &&
                EVP_MAC_update(mac, data, len) && EVP_MAC_final(mac, ret_mac, &n, n);
    return good ? (int)n : CVM_EINVAL;
}

static int turn_hmac(cvm_turn *pub, const void *key, size_t key_len, const void *data, size_t len, uint8_t ret[32])
{
    int e = turn_mac(pub, CVM_SHA256, key, key_len, data, len, ret, 32);
    return e < 0 ? e : CVM_OK;
}

static void turn_log(cvm_turn *pub, int level, const char *format, va_list args)
{
    char line[1024];
    vsnprintf(line, sizeof line, format, args);
    log_write((enum log_level)(level & 3), of(pub)->component->id->text, "%s", line);
}

const cvm_host turn_api = {
    .size = sizeof(cvm_host),
    .abi_major = CVM_ABI_MAJOR,
    .abi_minor = CVM_ABI_MINOR,
    .emit = told_emit,
    .settle = told_settle,
    .refuse = turn_refuse,
    .timer = told_timer,
    .timer_cancel = turn_timer_cancel,
    .call = told_call,
    .query = told_query,
    .context = turn_context,
    .context_set = told_context_set,
    .state_get = turn_state_get,
    .state_put = told_state_put,
    .state_scan = turn_state_scan,
    .row_put = told_row_put,
    .row_del = told_row_del,
    .note = turn_note,
    .end = turn_end,
    .now_ms = turn_now,
    .random = turn_random,
    .settings = turn_settings,
    .registry = turn_registry,
    .secret = turn_secret,
    .match = turn_match,
    .hmac_sha256 = turn_hmac,
    .log = turn_log,
    .note_reply = turn_note_reply,
    .new_id = told_new_id,
    .hmac = turn_mac,
    .classify = told_classify,
    .job_start = told_job,
};
