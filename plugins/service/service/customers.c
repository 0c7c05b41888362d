/* Customers and their sessions. Owns the tables `customers` and `sessions` and the state keys phone/<keyed hash> -> id,
 * customer/<id> -> record, phone_key, seeded, sample_turn. A phone number is looked up by its keyed hash. Loop thread.
 */
#include "../../common/object.h"
#include "service.h"

#define SESSION_MS_DEFAULT (30 * 60 * INT64_C(1000))
#define SAMPLES_MAX 100

/* The key of the hash: the operator's secret, else one made at the first start and kept. */
static int phone_key(cvm_turn *t, char ret_key[129])
{
    const char *secret = NULL;
    const json_t *kept = NULL;
    if (cvm_secret(t, "CUSTOMER_HASH_KEY", &secret) == CVM_OK && strlen(secret) <= 128) {
        snprintf(ret_key, 129, "%s", secret);
        return CVM_OK;
    }
    int e = cvm_state_get(t, "phone_key", &kept);
    if (e == CVM_OK && json_is_string(kept)) {
        snprintf(ret_key, 129, "%s", json_string_value(kept));
        return CVM_OK;
    }
    if (e != CVM_ENOENT)
        return e < 0 ? e : CVM_EDATA;
    snprintf(ret_key, 129, "%016llx%016llx", (unsigned long long)cvm_random(t), (unsigned long long)cvm_random(t));
    return cvm_state_put(t, "phone_key", json_string(ret_key));
}

static int phone_hash(cvm_turn *t, const char *phone, char ret_hash[65])
{
    char key[129];
    uint8_t mac[32];
    CVM_TRY(phone_key(t, key));
    CVM_TRY(t->host->hmac_sha256(t, key, strlen(key), phone, strlen(phone), mac));
    for (size_t i = 0; i < sizeof mac; i++) {
        ret_hash[2 * i] = "0123456789abcdef"[mac[i] >> 4];
        ret_hash[2 * i + 1] = "0123456789abcdef"[mac[i] & 15];
    }
    ret_hash[64] = 0;
    return CVM_OK;
}

static int64_t session_ms(cvm_turn *t, const char *channel)
{
    int64_t minutes = cvm_json_int(cvm_settings(t), "session_minutes", SESSION_MS_DEFAULT / 60000);
    return strcmp(channel, "USSD") ? minutes * 60000
                                   : cvm_json_int(cvm_settings(t), "ussd_session_seconds", 180) * 1000;
}

/* Copies what people typed as their name: letters and what stands between them, nothing that could pass for a mark-up.
 */
static void clean_name(const char *name, char *out, size_t size)
{
    const unsigned char *s = (const unsigned char *)name;
    size_t n = 0;
    for (; *s && n + 1 < size && n < 60; s++)
        if (*s >= 0x80 || (*s >= 'A' && *s <= 'Z') || (*s >= 'a' && *s <= 'z') || strchr(" .'-", *s))
            out[n++] = (char)*s;
    if ((*s & 0xC0) == 0x80) { /* cut inside a character: all of it goes */
        while (n && ((unsigned char)out[n - 1] & 0xC0) == 0x80)
            n--;
        n -= n > 0;
    }
    out[n] = 0;
}

static int customer_row(cvm_turn *t, const cvm_msg *m, const struct customer *c, const char *hash, int64_t created_ms)
{
    char created[SERVICE_TIME_SIZE], updated[SERVICE_TIME_SIZE];
    json_t *row = json_object();
    OBJECT_TEXT(row, "id", c->id);
    OBJECT_TEXT(row, "phone_number", c->phone);
    OBJECT_TEXT(row, "phone_hash", hash);
    OBJECT_PUT(row, "email", *c->email ? json_string(c->email) : json_null());
    OBJECT_PUT(row, "full_name", *c->name ? json_string(c->name) : json_null());
    OBJECT_TEXT(row, "customer_tier", c->tier);
    OBJECT_TEXT(row, "preferred_language", c->language);
    OBJECT_TEXT(row, "created_at", service_time(created_ms, created));
    OBJECT_TEXT(row, "updated_at", service_time(cvm_now_ms(t), updated));
    OBJECT_INT(row, "is_active", 1);
    OBJECT_TEXT(row, "conversation", m->conversation);
    return row ? cvm_row_put(t, "customers", row) : CVM_ENOMEM;
}

static int session_row(cvm_turn *t, const cvm_msg *m, const struct customer *c, const char *channel, int64_t started_ms,
                       int64_t enquiries)
{
    char started[SERVICE_TIME_SIZE], seen[SERVICE_TIME_SIZE];
    json_t *row = json_object();
    OBJECT_TEXT(row, "session_id", c->session);
    OBJECT_TEXT(row, "customer_id", c->id);
    OBJECT_TEXT(row, "channel", channel);
    OBJECT_TEXT(row, "started_at", service_time(started_ms, started));
    OBJECT_TEXT(row, "last_seen_at", service_time(cvm_now_ms(t), seen));
    OBJECT_INT(row, "enquiries", enquiries);
    OBJECT_TEXT(row, "conversation", m->conversation);
    return row ? cvm_row_put(t, "sessions", row) : CVM_ENOMEM;
}

/* In the lane of the enquiry, where there is one: whoever pays in it finds the account. Its answer may wait. */
static int open_account(cvm_turn *t, const struct customer *c, const char *enquiry, int64_t balance_kobo)
{
    if (!service_loaded(t, SERVICE_TRANSACTION))
        return CVM_OK;
    json_t *data = json_object();
    OBJECT_TEXT(data, "customer_id", c->id);
    OBJECT_TEXT(data, "phone", c->phone);
    OBJECT_INT(data, "balance_kobo", (json_int_t)balance_kobo);
    if (!data)
        return CVM_ENOMEM;
    return cvm_request(
        t, SERVICE_TRANSACTION, "open_account", data,
        &(cvm_request_opts){
            .conversation = enquiry, .fresh = enquiry != NULL, .has_priority = true, .priority = CVM_LOW});
}

static int customer_make(cvm_turn *t, const cvm_msg *m, struct customer *c, const char *hash, const char *enquiry,
                         int64_t balance_kobo)
{
    char key[96];
    int64_t now = cvm_now_ms(t);
    CVM_TRY(cvm_new_id(t, "CUS", c->id));
    snprintf(key, sizeof key, "phone/%s", hash);
    CVM_TRY(cvm_state_put(t, key, json_string(c->id)));
    CVM_TRY(customer_row(t, m, c, hash, now));
    return open_account(t, c, enquiry, balance_kobo);
}

static void customer_read(const json_t *record, struct customer *c)
{
    snprintf(c->set_tier, sizeof c->set_tier, "%s", cvm_json_str(record, "tier", "BRONZE"));
    snprintf(c->tier, sizeof c->tier, "%s", cvm_json_str(record, "served_as", c->set_tier));
    snprintf(c->name, sizeof c->name, "%s", cvm_json_str(record, "name", ""));
    snprintf(c->email, sizeof c->email, "%s", cvm_json_str(record, "email", ""));
    snprintf(c->language, sizeof c->language, "%s", cvm_json_str(record, "language", "en"));
}

/* A question of an earlier session is not open any more. */
static void asked_read(const json_t *record, struct customer *c)
{
    const json_t *asked = json_object_get(record, "asked");
    if (strcmp(cvm_json_str(asked, "session", ""), c->session) != 0)
        return;
    snprintf(c->asked, sizeof c->asked, "%s", cvm_json_str(asked, "order", ""));
    snprintf(c->asked_rule, sizeof c->asked_rule, "%s", cvm_json_str(asked, "rule", ""));
}

int customers_asked(cvm_turn *t, const char *customer, const char *session, const char *order, const char *rule)
{
    const json_t *record = NULL;
    char key[96];
    snprintf(key, sizeof key, "customer/%.64s", customer);
    int e = cvm_state_get(t, key, &record);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    json_t *copy = json_copy((json_t *)(uintptr_t)record);
    json_t *asked = json_pack("{s:s, s:s, s:s}", "session", session, "order", order, "rule", rule);
    if (!copy || !asked || json_object_set_new(copy, "asked", asked) < 0) {
        json_decref(copy);
        return CVM_ENOMEM;
    }
    return cvm_state_put(t, key, copy);
}

static int customer_keep(cvm_turn *t, const struct customer *c, int64_t created_ms, json_t *session)
{
    char key[96];
    snprintf(key, sizeof key, "customer/%s", c->id);
    json_t *record = json_object();
    OBJECT_TEXT(record, "phone", c->phone);
    OBJECT_TEXT(record, "tier", c->set_tier);
    OBJECT_TEXT(record, "served_as", c->tier);
    OBJECT_TEXT(record, "name", c->name);
    OBJECT_TEXT(record, "email", c->email);
    OBJECT_TEXT(record, "language", c->language);
    OBJECT_INT(record, "created_ms", created_ms);
    OBJECT_PUT(record, "session", session ? session : json_null());
    return cvm_state_put(t, key, record);
}

/* The session goes on while the customer writes often enough; a session id the client gives starts or continues one of
 * this customer, never another's. */
static int session_find(cvm_turn *t, const cvm_msg *m, struct customer *c, const json_t *record, const char *wanted,
                        json_t **ret_session)
{
    const json_t *last = json_object_get(record, "session");
    const char *channel = cvm_json_str(m->data, "channel", "SMS"), *last_id = cvm_json_str(last, "id", "");
    int64_t now = cvm_now_ms(t), started = now, count = 1;
    bool fresh = now - cvm_json_int(last, "at_ms", 0) < session_ms(t, channel);
    if (*last_id && (*wanted ? !strcmp(wanted, last_id) : fresh)) {
        snprintf(c->session, sizeof c->session, "%s", last_id);
        started = cvm_json_int(last, "started_ms", now);
        count = cvm_json_int(last, "enquiries", 0) + 1;
    } else if (*wanted) {
        snprintf(c->session, sizeof c->session, "%s", wanted);
    } else {
        char id[CVM_SHORT_ID_SIZE];
        CVM_TRY(cvm_new_id(t, "SES", id));
        snprintf(c->session, sizeof c->session, "%s", id);
    }
    CVM_TRY(session_row(t, m, c, channel, started, count));
    json_t *session = json_object();
    OBJECT_TEXT(session, "id", c->session);
    OBJECT_INT(session, "at_ms", now);
    OBJECT_INT(session, "started_ms", started);
    OBJECT_INT(session, "enquiries", count);
    OBJECT_TEXT(session, "channel", channel);
    *ret_session = session;
    return *ret_session ? CVM_OK : CVM_ENOMEM;
}

int customers_find(cvm_turn *t, const cvm_msg *m, const char *phone, const char *name, const char *email,
                   const char *session, const char *enquiry, struct customer *c)
{
    char hash[65], key[96];
    const json_t *id = NULL, *record = NULL;
    json_t *new_session = NULL;
    int64_t created = cvm_now_ms(t);
    *c = (struct customer){.tier = "BRONZE", .set_tier = "BRONZE", .language = "en"};
    snprintf(c->phone, sizeof c->phone, "%s", phone);
    CVM_TRY(phone_hash(t, phone, hash));
    snprintf(key, sizeof key, "phone/%s", hash);
    int e = cvm_state_get(t, key, &id);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    bool known = e == CVM_OK && json_is_string(id);
    if (known) {
        snprintf(c->id, sizeof c->id, "%s", json_string_value(id));
        snprintf(key, sizeof key, "customer/%s", c->id);
        e = cvm_state_get(t, key, &record);
        if (e < 0 && e != CVM_ENOENT)
            return e;
        customer_read(record, c);
        created = cvm_json_int(record, "created_ms", created);
    }
    char tier[16];
    snprintf(tier, sizeof tier, "%s", c->tier);
    if (known)
        CVM_TRY(tiers_of(t, c->id, c->set_tier, c->tier));
    bool news =
        !known || strcmp(tier, c->tier) != 0 || (*email && strcmp(email, c->email) != 0) || (*name && !*c->name);
    if (*name && !*c->name)
        clean_name(name, c->name, sizeof c->name);
    if (*email)
        snprintf(c->email, sizeof c->email, "%s", email);
    if (!known)
        CVM_TRY(customer_make(t, m, c, hash, enquiry, 0));
    else if (news)
        CVM_TRY(customer_row(t, m, c, hash, created));
    CVM_TRY(session_find(t, m, c, record, session, &new_session));
    asked_read(record, c);
    return customer_keep(t, c, created, new_session);
}

int customers_set_tier(cvm_turn *t, const cvm_msg *m, const char *customer, const char *tier)
{
    struct customer c = {.language = "en"};
    const json_t *record = NULL;
    char hash[65], key[96];
    snprintf(key, sizeof key, "customer/%.64s", customer);
    int e = cvm_state_get(t, key, &record);
    if (e == CVM_ENOENT)
        return cvm_refuse(t, "NOT_FOUND", "customer_id", "There is no customer with this id.");
    if (e < 0)
        return e;
    customer_read(record, &c);
    snprintf(c.id, sizeof c.id, "%s", customer);
    snprintf(c.phone, sizeof c.phone, "%s", cvm_json_str(record, "phone", ""));
    snprintf(c.set_tier, sizeof c.set_tier, "%s", tier);
    CVM_TRY(tiers_of(t, c.id, tier, c.tier));
    CVM_TRY(phone_hash(t, c.phone, hash));
    CVM_TRY(customer_row(t, m, &c, hash, cvm_json_int(record, "created_ms", cvm_now_ms(t))));
    const json_t *session = json_object_get(record, "session");
    return customer_keep(t, &c, cvm_json_int(record, "created_ms", 0), session ? cvm_json_share(session) : NULL);
}

static bool highest_tier(const json_t *sample)
{
    return !strcmp(cvm_json_str(sample, "tier", ""), "PLATINUM");
}

int customers_sample(cvm_turn *t, const char **ret_phone)
{
    const json_t *samples = json_object_get(cvm_settings(t), "sample_customers"), *sample = NULL;
    size_t n = json_array_size(samples) < SAMPLES_MAX ? json_array_size(samples) : SAMPLES_MAX;
    int64_t turn = 0;
    int e = cvm_state_int(t, "sample_turn", &turn);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    for (size_t tried = 0; tried < n && !sample; tried++, turn++) {
        sample = json_array_get(samples, (size_t)(turn % (int64_t)n));
        sample = highest_tier(sample) ? NULL : sample;
    }
    *ret_phone = cvm_json_str(sample, "phone", NULL);
    return sample ? cvm_state_put_int(t, "sample_turn", turn) : CVM_OK;
}

static int seed(cvm_turn *t, const cvm_msg *m, const json_t *sample)
{
    static const char *const tiers[] = {"BRONZE", "SILVER", "GOLD", "PLATINUM"};
    struct customer c = {.tier = "BRONZE", .language = "en"};
    char hash[65], key[96];
    const json_t *known = NULL;
    if (phone_normalise(cvm_json_str(sample, "phone", ""), c.phone) < 0) {
        cvm_log(t, CVM_LOG_WARNING, "a sample customer has no valid phone number and is left out");
        return CVM_OK;
    }
    clean_name(cvm_json_str(sample, "name", ""), c.name, sizeof c.name);
    for (size_t i = 0; i < 4; i++)
        if (!strcmp(cvm_json_str(sample, "tier", ""), tiers[i]))
            snprintf(c.tier, sizeof c.tier, "%s", tiers[i]);
    snprintf(c.set_tier, sizeof c.set_tier, "%s", c.tier);
    int64_t kobo = cvm_json_int(sample, "wallet_naira", 0) * 100;
    CVM_TRY(phone_hash(t, c.phone, hash));
    snprintf(key, sizeof key, "phone/%s", hash);
    if (cvm_state_get(t, key, &known) == CVM_OK)
        return CVM_OK;
    CVM_TRY(customer_make(t, m, &c, hash, NULL, kobo > 0 ? kobo : 0));
    return customer_keep(t, &c, cvm_now_ms(t), NULL);
}

/* Without a wallet the customer can ask but not buy; the purchase then says so. */
int customers_opened(cvm_turn *t, const cvm_msg *m)
{
    if (m->outcome != CVM_REPLIED)
        cvm_log(t, CVM_LOG_WARNING, "a customer's wallet was not opened: %s",
                cvm_json_str(m->data, "code", "no answer"));
    return CVM_OK;
}

/* Sample customers are made once, at the component's first start. */
int customers_start(cvm_turn *t, const cvm_msg *m)
{
    const json_t *samples = json_object_get(cvm_settings(t), "sample_customers"), *done = NULL;
    int e = cvm_state_get(t, "seeded", &done);
    if (e != CVM_ENOENT)
        return e < 0 ? e : CVM_OK;
    for (size_t i = 0; i < json_array_size(samples) && i < SAMPLES_MAX; i++)
        CVM_TRY(seed(t, m, json_array_get(samples, i)));
    return cvm_state_put(t, "seeded", json_true());
}
